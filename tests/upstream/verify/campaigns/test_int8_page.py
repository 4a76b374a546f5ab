"""docs/int8.md is what the baselines give, and a card's figures get a table of their own."""

from verify.campaigns import int8_page


def test_the_page_says_what_the_baselines_say() -> None:
    assert int8_page.PAGE.read_text("utf-8") == int8_page.page()


def test_a_card_that_measured_is_told() -> None:
    row = {"video_tokens": 6144, "ms": {"bf16": 3.5, "fp8_cast": 5.0, "int8": 2.5}}
    report = {"machine": "a card", "date": "2026-12-01", "rows": {"right": {}, "6144 tokens": row}}
    told = int8_page.speed([report])
    assert "| 6144 | 3.50 | 5.00 | 2.50 | 2.00 | 1.40 |" in told
    assert told.endswith("On: a card, 2026-12-01.\n")


def test_a_3090_can_not_be_faster_in_bf16_than_its_data_sheet() -> None:
    """The block by hand: 28 layers, of which the feed-forward's two are the most."""
    rows = [line.split(" | ") for line in int8_page.floors().splitlines()[2:]]
    for tokens, bf16, fp8, int8 in ((row[0].strip("| "), *row[1:]) for row in rows):
        video = int(tokens)
        weights = 4096 * 4096 * (6 + 4 + 4) + 2048 * 4096 * (1 + 1 + 2)
        least = 2 * video * weights / 71e12 * 1e3
        assert least < float(bf16) < 1.2 * least
        assert float(int8.strip(" |")) < float(bf16) / 3 < float(fp8) / 3
