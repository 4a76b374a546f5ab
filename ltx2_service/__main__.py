"""`python -m ltx2_service`, which `ltx2-patcher serve` starts."""

from ltx2_service.cli.main import run

if __name__ == "__main__":
    run()
