from __future__ import annotations

from tests.service.page.conftest import Shown

SAID = {
    "framesOf(5, 25)": 129,
    "framesOf(121 / 25, 25)": 121,
    "framesOf(5, 24)": 121,
    "framesOf(0.01, 25)": 1,
    "frameAt(0.5, 121)": 64,
    "frameAt(2, 121)": 120,
    "frameAt(-1, 121)": 0,
    "duration(0.28)": "0.3 s",
    "duration(45.2)": "45 s",
    "duration(59.9)": "1 min",
    "duration(125)": "2 min 5 s",
    "duration(7199)": "2 h",
    "duration(7260)": "2 h 1 min",
    "memory(19.6 * 2**30, 24 * 2**30)": "19.6 of 24 GiB",
    "ago(100, 130)": "just now",
    "ago(100, 400)": "5 min ago",
    "place(0)": "Next in line",
    "place(2)": "2 before it",
    "stage('', 0, 0)": "Starting",
    "stage('denoising', 3, 8)": "Denoising, step 3 of 8",
    "sizesOf({multiple: 64, width: 768, height: 512}).flat().filter((side) => side % 64)": [],
    "sizesOf({multiple: 32, width: 768, height: 512}).some((sides) => sides[1] % 64)": True,
    "sizesOf({multiple: 64, width: 256, height: 192})[0]": [256, 192],
    "left(1.4)": "",
    "left(null)": "",
    "left(8.1)": "about 8 s",
}


def test_numbers_as_people_say_them(shown: Shown) -> None:
    asked = ", ".join(f"() => {expression}" for expression in SAID)
    names = "{framesOf, frameAt, duration, left, memory, ago, place, stage, sizesOf}"
    said = shown.ask(f"import('/static/words.js').then(({names}) => [{asked}].map((one) => one()))")
    assert dict(zip(SAID, said, strict=True)) == SAID
