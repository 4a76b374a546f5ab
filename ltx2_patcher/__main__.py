"""Entry point of `python -m ltx2_patcher`."""

from ltx2_patcher.cli.main import run

if __name__ == "__main__":
    run()
