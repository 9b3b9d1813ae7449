"""Check the documentation site that ``make docs`` has built: it shows code, and loads nothing from other hosts."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path


class Resources(HTMLParser):
    """Collects the files that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"script", "img", "iframe", "source"}:
            self.urls.append(given.get("src") or "")
        if tag == "link" and given.get("rel") in {"stylesheet", "preload", "icon", "modulepreload"}:
            self.urls.append(given.get("href") or "")


def check(site: Path) -> None:
    """Check all pages and styles of a site; raises ``AssertionError``."""
    pages = {str(file.relative_to(site)): file.read_text() for file in site.rglob("*.html")}
    text = {name: re.sub("<[^>]+>", "", page).replace("&quot;", '"') for name, page in pages.items()}
    assert 'task_id="ad_hoc_class"' in text["how-to/onboard-a-source.html"]
    assert "POST …/flowservice/flows" in text["reference/emulator-coverage.html"]
    assert "[aep] allowed_hosts" in text["reference/configuration.html"]
    assert "<svg" in pages["explanation/idempotency.html"]
    assert (site / "searchindex.js").exists()
    for name, page in pages.items():
        resources = Resources()
        resources.feed(page)
        assert [url for url in resources.urls if "//" in url] == [], name
    styles = "".join(file.read_text() for file in site.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()\s*[\"']?https?://", styles) == []


if __name__ == "__main__":
    check(Path(sys.argv[1]))
