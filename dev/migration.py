"""`make migration m="what it adds"`: the next file in `outbox/migrations/versions`, drafted from the models.

What Alembic finds is a draft. Read it, name its constraints, fill its tables if it must, and decide whether older
processes can go on beside it (`outbox/schema.py` says how they are told when not).
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command

import outbox
import outbox.schema
import reconciler
import services
from outbox.database import Database
from outbox.schema import CURRENT, alembic_config, migrate

_WHOLE_TREE = (outbox, reconciler, services)


def main(message: str) -> int:
    if not message.strip():
        print('Say what the migration does: make migration m="deliveries have a priority"', file=sys.stderr)
        return 64
    import_models()
    number = f"{int(CURRENT) + 1:04}"
    path = _draft(number, message.strip())
    schema = Path(outbox.schema.__file__)
    schema.write_text(schema.read_text().replace(f'CURRENT = "{CURRENT}"', f'CURRENT = "{number}"'))
    subprocess.run([Path(sys.executable).parent / "ruff", "format", "--quiet", path], check=True)
    print(f"{path.relative_to(Path.cwd())} is a draft: read it. CURRENT in outbox/schema.py is {number} now.")
    return 0


def import_models() -> None:
    """A table is known once the module that defines it is imported."""
    for package in _WHOLE_TREE:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith("outbox.migrations.") and not module.name.endswith(".__main__"):
                importlib.import_module(module.name)


def _draft(number: str, message: str) -> Path:
    with TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/empty.db")
        migrate(database)
        with database.altering() as connection:
            config = alembic_config(connection)
            slug = "_".join(re.findall(r"[a-z0-9]+", message.lower())[:4])
            config.set_main_option("file_template", f"{number}_{slug}")
            script = command.revision(config, message, autogenerate=True, rev_id=number)
        database.close()
    assert script is not None
    assert not isinstance(script, list)
    return Path(script.path)


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
