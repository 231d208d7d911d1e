"""The one door to PostgreSQL: SQLAlchemy's engine for built queries, its asyncpg connection for COPY and hot paths."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog
from sqlalchemy import exc as sql_errors
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.database_url import connecting, exposure, url_of
from shared.errors import PlazoError, Refused, Unavailable
from shared.events import Instant

if TYPE_CHECKING:
    from alembic.config import Config

log = structlog.get_logger(__name__)
CONNECT_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_MS: Final = 30_000
CALL_TIMEOUT_S: Final = 40.0  # when the network swallows what is sent, the server's own limit does not help
# A process that is stopped, or whose machine has gone, in the middle of a transaction must not keep its locks: while it
# does, nobody can take its partitions. Statements of a transaction follow each other within milliseconds.
STANDING_STILL_MS: Final = 3_000
_ALIVE: Final = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}  # in seconds
MIGRATIONS: Final = Path(__file__).resolve().parent.parent / "deploy" / "migrations"

_PASSING: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the client says of a connection that the server ended in the middle
    asyncpg.OperatorInterventionError,  # shutdown, cancelled, cannot connect now
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process stood still; see STANDING_STILL_MS
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.TransactionRollbackError,  # deadlock, serialization
    asyncpg.ObjectNotInPrerequisiteStateError,  # locked, or closed to connections for a while
    asyncpg.ReadOnlySQLTransactionError,  # a demoted node: connect anew, to the one that may write
    OSError,
    TimeoutError,
)

_SETTINGS: Final = (
    asyncpg.ClientConfigurationError,
    asyncpg.InvalidAuthorizationSpecificationError,  # the password among others
    asyncpg.InvalidCatalogNameError,  # no such database
)

_BAD_DATA: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,  # longer than an index can hold
)


class BadData(PlazoError):
    """The database refuses a value: an error of the data, not of the connection."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise the driver's errors as Unavailable (try again), BadData (this value) or Refused (do not)."""
    try:
        yield
    except sql_errors.TimeoutError as exc:
        raise Unavailable(f"{what}: every connection is taken") from exc
    except sql_errors.DBAPIError as exc:
        raise _meaning(what, getattr(exc.orig, "__cause__", None) or exc.orig or exc) from exc
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as exc:
        raise _meaning(what, exc) from exc


def _meaning(what: str, exc: BaseException) -> PlazoError:
    if isinstance(exc, ssl.SSLCertVerificationError):
        said = f"the server's certificate is not trusted: {exc.verify_message}"
        return Refused(f"{what}: DATABASE_URL: {said} (sslrootcert names authorities)")
    if isinstance(exc, _SETTINGS):
        return Refused(f"{what}: DATABASE_URL: {exc}")
    if isinstance(exc, asyncpg.InterfaceError) and isinstance(exc, ValueError):
        return BadData(f"{what}: {exc}")  # a value that the client cannot even send; sent again, it cannot either
    if isinstance(exc, _PASSING):
        return Unavailable(f"{what}: {str(exc) or type(exc).__name__}")
    if isinstance(exc, _BAD_DATA):
        return BadData(f"{what}: {exc}")
    return Refused(f"{what}: {exc}")


class Database:
    """A pool of connections to one database."""

    def __init__(self, url: str, *, size: int = 5, call_timeout_s: float = CALL_TIMEOUT_S) -> None:
        self.url = url_of(url)
        self._call_timeout_s = call_timeout_s
        self.engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=size,
            max_overflow=0,
            pool_timeout=0.75 * call_timeout_s,  # before the call itself is given up, so that its error says why
            pool_pre_ping=False,
            async_creator=connecting(
                self.url,
                timeout=CONNECT_TIMEOUT_S,
                server_settings={
                    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                    "idle_in_transaction_session_timeout": str(STANDING_STILL_MS),
                    **_ALIVE,
                    "timezone": "UTC",
                    # A plan made while a table was empty reads the whole table ever after: looking up 10 histories
                    # took 24 ms instead of 1 once 200,000 events were there.
                    "plan_cache_mode": "force_custom_plan",
                },
            ),
        )

    def warn(self) -> None:
        """Log what the way to the database lacks in protection, if anything."""
        said = exposure(self.url)
        if said is not None:
            log.warning("the connection to the database is not protected", reason=said)

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()

    async def check(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            Unavailable: it does not answer.
        """
        async with self.transaction("reach PostgreSQL") as connection:
            await connection.exec_driver_sql("SELECT 1")

    async def clock(self) -> Instant:
        """The database's clock: the one time for all processes.

        Raises:
            Unavailable: it does not answer.
        """
        async with self.raw("read the database's clock") as connection:
            return int(await connection.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"))

    async def revision(self) -> str | None:
        """The revision that the database was migrated to; None when it never was.

        Raises:
            Unavailable, Refused: see `translated`.
        """
        async with self.transaction("read the database's revision") as connection:
            table = (await connection.exec_driver_sql("SELECT to_regclass('alembic_version')::text")).scalar()
            if table is None:
                return None
            return (await connection.exec_driver_sql("SELECT max(version_num) FROM alembic_version")).scalar()

    @asynccontextmanager
    async def transaction(self, what: str) -> AsyncIterator[AsyncConnection]:
        """A transaction for built statements, committed at the end of the block.

        Raises:
            Unavailable, BadData, Refused: see `translated`.
        """
        with translated(what):
            async with asyncio.timeout(self._call_timeout_s), self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def raw(self, what: str) -> AsyncIterator[asyncpg.Connection]:
        """asyncpg's own connection, outside any transaction: for COPY and for statements on the hot path.

        Raises:
            Unavailable, BadData, Refused: see `translated`.
        """
        with translated(what):
            async with asyncio.timeout(self._call_timeout_s), self.engine.connect() as connection:
                proxied = await connection.get_raw_connection()
                driver: Any = proxied.driver_connection
                try:
                    yield driver
                except (*_PASSING, asyncio.CancelledError):
                    await connection.invalidate()
                    raise


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database to *revision*. Runs its own event loop: not to be called from within one.

    Raises:
        Unavailable, Refused: the database does not answer, or refuses a change.
    """
    from alembic import command  # noqa: PLC0415 # 10 MiB and 0.2 s that no service needs

    with translated("migrate"):
        command.upgrade(alembic_config(url), revision)


def newest_revision() -> str | None:
    """The revision that this program needs: migrations are numbered in their order."""
    return max((path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py")), default=None)


def alembic_config(url: str) -> Config:
    """Alembic's configuration for the migrations of this project on the database at *url*."""
    from alembic.config import Config  # noqa: PLC0415 # see `migrate`

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connect"] = connecting(url_of(url), timeout=CONNECT_TIMEOUT_S)
    return config
