"""Preprocessor of mdBook: links to files outside docs/ lead to the repository's website, and README.md is index.md there."""

import json
import posixpath
import re
import sys

LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")


def rewrite(chapter, repository):
    """Rewrites the links of a chapter and of its subchapters."""
    folder = posixpath.dirname(chapter["path"] or "")

    def target(found):
        path = posixpath.normpath(posixpath.join("docs", folder, found[1]))
        if not path.startswith("docs/"):
            return f"{repository}/blob/main/{path}"
        return re.sub(r"\bREADME\.md$", "index.md", found[1])

    chapter["content"] = LINK.sub(target, chapter["content"])
    for item in chapter["sub_items"]:
        rewrite_item(item, repository)


def rewrite_item(item, repository):
    if isinstance(item, dict) and "Chapter" in item:
        rewrite(item["Chapter"], repository)


def main():
    if sys.argv[1:2] == ["supports"]:
        return
    context, book = json.load(sys.stdin)
    repository = context["config"]["output"]["html"]["git-repository-url"]
    for item in book["items"]:
        rewrite_item(item, repository)
    json.dump(book, sys.stdout)


main()
