"""Where the files of the page are: our own in `page/`, plotly's script in its package."""

from importlib.util import find_spec
from pathlib import Path

PAGE = Path(__file__).parent / "page"


def plotly_script() -> Path:
    """plotly.js as the PyPI package `plotly` brings it; it is not imported for this."""
    spec = find_spec("plotly")
    package = Path(spec.origin).parent if spec and spec.origin else Path("plotly is missing")
    return package / "package_data" / "plotly.min.js"
