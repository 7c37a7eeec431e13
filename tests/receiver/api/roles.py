"""Which role a route asks for, found out by trying."""

import json
from typing import Any

from tests.receiver.kit import Running

from gatepost.receiver.auth.issuing import issue_token
from gatepost.receiver.auth.principal import ROLES
from gatepost.store.accounts.accounts import Accounts


async def least_role(receiver: Running, method: str, path: str, body: Any = None) -> str:
    """The first role that gets through. Whoever has none, or one below it, must not: 401, 403."""
    data = b"" if body is None else json.dumps(body).encode()
    path = f"/api/v1/{path}"
    assert (await receiver.request(method, path, data, {"Authorization": ""})).status == 401
    for role in ROLES:
        token, _ = issue_token(Accounts(receiver.store), role, role, by="test", now_ms=0)
        answer = await receiver.request(method, path, data, {"Authorization": f"Bearer {token}"})
        assert answer.status != 401
        if answer.status != 403:
            return role
    raise AssertionError(f"nobody may {method} {path}")
