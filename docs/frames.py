"""Result pages within pages of the site."""

FITTED = "this.style.height = this.contentDocument.documentElement.scrollHeight + 8 + 'px'"
"""As high as what is in it, where the browser lets a page ask: not for files that are opened from a disk."""


def frame(source: str, title: str, fitted: bool = False) -> str:
    """A frame that shows a page.

    Args:
        source: of the page, relative to the one that shows it.
        title: for screen readers.
        fitted: grow to the height of the page.
    """
    grows = f' onload="{FITTED}"' if fitted else ""
    return f'<iframe class="result" src="{source}" title="{title}" loading="lazy"{grows}></iframe>'
