"""The same as ``sam-deblur schema``, for ``options/schema.json`` of this checkout; see ``--help``."""

from pathlib import Path

from basicsr.commands.schema import main

if __name__ == "__main__":
    schema = Path(__file__).resolve().parents[1] / "options" / "schema.json"
    main(called="python scripts/option_schema.py", default=schema)
