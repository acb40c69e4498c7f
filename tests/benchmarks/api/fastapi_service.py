"""The usual choice for the same read: FastAPI, SQLAlchemy on asyncpg, uvicorn and PyJWT, as documented."""

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict
from sqlalchemy import DateTime, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"))
sessions = async_sessionmaker(engine, expire_on_commit=False)
keys = jwt.PyJWKClient(os.environ["JWKS_URL"])
bearer = HTTPBearer()
app = FastAPI()


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB}  # noqa: RUF012 SQLAlchemy's form


class Row(Base):
    """One row of `predictions`."""

    __tablename__ = "predictions"

    prediction_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    upload_id: Mapped[UUID]
    status: Mapped[str]
    model_name: Mapped[str]
    model_version: Mapped[str]
    requested_at: Mapped[datetime]
    sqs_queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    deadline: Mapped[datetime | None]
    attempt: Mapped[int]
    retry_reason: Mapped[str | None]
    retry_at: Mapped[datetime | None]
    rows_total: Mapped[int | None]
    rows_scored: Mapped[int | None]
    rows_rejected: Mapped[int | None]
    label: Mapped[str | None]
    revision: Mapped[int]
    progress_rows: Mapped[int | None]
    progress_total: Mapped[int | None]
    summary: Mapped[dict[str, Any] | None]
    failure: Mapped[dict[str, Any] | None]


class Prediction(BaseModel):
    """The answer."""

    model_config = ConfigDict(from_attributes=True)

    prediction_id: UUID
    status: str
    model_name: str
    model_version: str
    requested_at: datetime
    sqs_queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    attempt: int
    retry_reason: str | None
    retry_at: datetime | None
    rows_total: int | None
    rows_scored: int | None
    rows_rejected: int | None
    label: str | None
    revision: int
    progress_rows: int | None
    progress_total: int | None
    summary: dict[str, Any] | None
    failure: dict[str, Any] | None


async def open_session() -> AsyncIterator[AsyncSession]:
    """Open a session for one request."""
    async with sessions() as session:
        yield session


async def read_tenant(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    """Verify the token of a request."""
    try:
        claims = jwt.decode(
            credentials.credentials,
            keys.get_signing_key_from_jwt(credentials.credentials),
            algorithms=["ES256", "RS256"],
            issuer=os.environ["JWT_ISSUER"],
            audience=os.environ["JWT_AUDIENCE"],
            options={"require": ["exp", "iss", "aud", "sub", "tenant_id"]},
        )
    except jwt.PyJWTError as error:
        raise HTTPException(401) from error
    return str(claims["tenant_id"])


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    """Answer that it serves."""
    return {"state": "ok"}


@app.get("/v1/predictions/{prediction_id}")
async def get_prediction(
    prediction_id: UUID,
    tenant_id: Annotated[str, Depends(read_tenant)],
    session: Annotated[AsyncSession, Depends(open_session)],
) -> Prediction:
    """Answer one prediction of a tenant."""
    query = select(Row).where(Row.prediction_id == prediction_id, Row.tenant_id == tenant_id)
    row = (await session.execute(query)).scalar_one_or_none()
    if row is None:
        raise HTTPException(404)
    return Prediction.model_validate(row)


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(os.environ["HTTP_PORT"]), access_log=False, log_level="warning"
    )
