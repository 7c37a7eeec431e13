"""What an integrator writes in ten lines. Started by ``checked.py``; Flask is no dependency of gatepost."""

import sys

from flask import Flask, request

app = Flask(__name__)


@app.post("/Record")
def record() -> dict[str, object]:
    event = request.get_json()
    print(event["type"], event["data"].get("deviceSN"))
    return {"code": 200, "message": "success", "data": {}}


app.run("127.0.0.1", int(sys.argv[1]))
