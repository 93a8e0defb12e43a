"""Take a screenshot of the page that the demo writes: `make demo && .venv/bin/python examples/hero.py` (needs chromium)."""

import subprocess
from pathlib import Path

PAGE = Path("demo_output/text.html")
PICTURE = Path("docs/images/hero.png")


def main() -> None:
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=2"]
    options += ["--window-size=1080,640", f"--screenshot={PICTURE}"]
    subprocess.run(["chromium", *options, PAGE.resolve().as_uri()], check=True, timeout=60)


if __name__ == "__main__":
    main()
