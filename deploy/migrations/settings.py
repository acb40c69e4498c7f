"""The settings of the migration as a one-off task, read from the environment."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where the database is, who owns it, and where the services' connection URLs are written."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    aws_region: str = Field(min_length=1, description="The AWS region of the secrets")
    database_host: str = Field(min_length=1, description="The database's host")
    database_port: int = Field(default=5432, description="The database's port")
    database_name: str = Field(min_length=1, description="The database's name")
    owner_user: str = Field(min_length=1, description="The login that owns the tables")
    owner_password: SecretStr = Field(description="Its password")
    producer_secret_arn: str = Field(description="The secret that becomes DATABASE_URL of the API")
    worker_secret_arn: str = Field(description="The secret that becomes DATABASE_URL of the worker")
    database_tls: str = Field(
        default="sslmode=verify-full&sslrootcert=/etc/retainwise/database-ca.pem",
        description="How every connection is encrypted and whose certificates are trusted, as in a URL",
    )
