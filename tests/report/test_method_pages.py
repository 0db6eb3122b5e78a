"""A method's page says what its card and its settings say, and nothing in them becomes markup."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from bench import registry
from bench.contract import MethodCard
from bench.registry import MethodDescription
from bench.report.topics.methods import bibliography, method_page, method_pages


@pytest.mark.parametrize("name", registry.method_names())
def test_a_page_has_every_setting_variant_and_departure(name: str) -> None:
    description = registry.method(name)
    page = method_page(description, bibliography()[description.card.citation])
    assert page.startswith("# ")
    for word in (*description.defaults, *description.variants, *registry.dataset_settings(name)):
        assert f"| `{word}`" in page
    assert page.count("\n- ") >= len(description.card.from_paper) + len(description.card.from_release)
    assert f"{{{description.card.citation}," in page
    assert page.count("`") % 2 == 0


def test_there_is_a_page_for_every_method_and_an_index_that_links_to_it() -> None:
    pages = method_pages()
    assert set(pages) == {"index.md", *(f"{name}.md" for name in registry.method_names())}
    assert all(f"]({page})" in pages["index.md"] for page in pages if page != "index.md")


def test_the_quick_profile_and_values_per_dataset_are_shown() -> None:
    page = method_page(registry.method("drcl"))
    assert "| `spl_epochs`" in page
    line = next(line for line in page.splitlines() if line.startswith("| `batch_size`"))
    quick = registry.resolve_settings(registry.method("drcl"), profile="quick")["batch_size"]
    assert quick != 1024
    assert [cell.strip() for cell in line.split("|")][2:4] == ["`1024`", f"`{quick}`"]
    assert "## Values per dataset, in the paper profile" in page
    assert "| `wikipedia`" in page


def test_code_stays_code_and_everything_else_loses_its_markup() -> None:
    card = MethodCard(
        "odd", "O*D*D", "A", 2025, "V", "F", from_paper=("P(j|i), ``a|b`` and `c` are <b>so</b>.",)
    )
    page = method_page(MethodDescription(card, {}, {}, "here", "key", about="First.\n\nSecond ``x_y``."))
    assert page.startswith("# O\\*D\\*D (`odd`)\n\nFirst.\n\nSecond `x_y`.\n")
    assert "- P(j\\|i), `a\\|b` and `c` are &lt;b&gt;so&lt;/b&gt;." in page
    assert "## Settings\n\nNone." in page
    assert "## Reference" not in page
    assert "## Variants" not in page


def test_a_method_without_known_meanings_still_has_its_settings() -> None:
    known = registry.method("sdml")
    page = method_page(replace(known, meanings={}))
    assert "| `alpha`" in page


def test_pages_are_made_without_torch() -> None:
    program = (
        "import sys; from bench.report.topics.methods import method_pages; method_pages(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
