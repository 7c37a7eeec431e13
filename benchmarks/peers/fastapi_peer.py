"""What integrators write today: FastAPI, Pydantic, SQLAlchemy's ORM, one commit a request, the image to a file.

The shape is that of FastAPI's own tutorial: a plain `def` endpoint (run in the thread pool) with a session from a
dependency. Started the way it is deployed, by uvicorn with uvloop and httptools, and without the access log.

Environment: `PEER_DATABASE` (an SQLAlchemy address), `PEER_IMAGES` (a folder).
Run: `python -m uvicorn benchmarks.peers.fastapi_peer:app`.
"""

import base64
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel, Field
from sqlalchemy import JSON, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

DATABASE = os.environ["PEER_DATABASE"]
IMAGES = Path(os.environ["PEER_IMAGES"])
IMAGES.mkdir(parents=True, exist_ok=True)

sqlite = DATABASE.startswith("sqlite")
engine = create_engine(DATABASE, connect_args={"check_same_thread": False, "timeout": 30} if sqlite else {})
make_session = sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The tables."""


class RecordRow(Base):
    """One passage."""

    __tablename__ = "records"

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(index=True)
    device_sn: Mapped[str]
    recognition_type: Mapped[int]
    entry_mode: Mapped[int]
    abnormal_type: Mapped[int]
    score: Mapped[float]
    mask: Mapped[int]
    mode: Mapped[int]
    body_temperature: Mapped[float]
    passed: Mapped[bool]
    recorded_at: Mapped[datetime]
    user_id: Mapped[str]
    user_name: Mapped[str]
    job_number: Mapped[str]
    ic_number: Mapped[str]
    groups: Mapped[list[dict[str, str]]] = mapped_column(JSON)
    image: Mapped[str | None]


Base.metadata.create_all(engine)


class Group(BaseModel):
    """A group of the user."""

    id: str
    name: str


class User(BaseModel):
    """Who passed."""

    name: str | None = None
    user_id: str = ""
    type: int | None = None
    ic_number: str = ""
    id_number: str = ""
    job_number: str = ""
    pin: str = ""
    remark: str = ""
    guest_time_start: int = 0
    guest_time_end: int = 0
    groups: list[Group] = []


class Record(BaseModel):
    """One passage as the protocol page has it."""

    device_sn: str = Field(alias="deviceSN")
    recognition_type: int = Field(alias="recognitionType")
    entry_mode: int
    abnormal_type: int
    uuid: str
    score: float = Field(alias="recognizeScore")
    mask: int
    mode: int
    rgb_image: str
    body_temperature: float = Field(alias="bodyTemperature")
    passed: bool = Field(alias="pass")
    timestamp: int
    user: User


class Push(BaseModel):
    """A push."""

    type: int
    data: Record


def session() -> Iterator[Session]:
    """One session a request."""
    with make_session() as opened:
        yield opened


app = FastAPI()


@app.post("/Record")
def receive(push: Push, db: Annotated[Session, Depends(session)]) -> dict[str, Any]:
    """Store one passage and answer success."""
    data = push.data
    name = None
    if data.rgb_image.strip():
        name = f"{data.uuid}.jpg"
        (IMAGES / name).write_bytes(base64.b64decode(data.rgb_image))
    db.add(
        RecordRow(
            uuid=data.uuid,
            device_sn=data.device_sn,
            recognition_type=data.recognition_type,
            entry_mode=data.entry_mode,
            abnormal_type=data.abnormal_type,
            score=data.score,
            mask=data.mask,
            mode=data.mode,
            body_temperature=data.body_temperature,
            passed=data.passed,
            recorded_at=datetime.fromtimestamp(data.timestamp, UTC),
            user_id=data.user.user_id,
            user_name=data.user.name or "",
            job_number=data.user.job_number,
            ic_number=data.user.ic_number,
            groups=[group.model_dump() for group in data.user.groups],
            image=name,
        )
    )
    db.commit()
    return {"code": 200, "message": "success", "data": {}}
