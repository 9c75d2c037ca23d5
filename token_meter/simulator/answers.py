"""What the simulated model says: a flower shop's script, summaries, else a text derived from the prompt.

The same prompt and seed give the same answer, in any process.
"""

from __future__ import annotations

import hashlib
import operator
import re

_TEXT = (
    "the rose lily tulip peony daisy orchid shop window garden morning light water leaf root stem petal colour "
    "soft bright early late small tall fresh quiet simple gentle of and with near under before after because "
    "we you they it is was will grow bloom open keep bring choose give send care for every season bouquet ribbon "
    "paper vase price gift card street market bee rain sun shade soil seed"
)
_WORDS = tuple(_TEXT.split())
_HUMAN = re.compile(r"(?:^|\n)(?:Human|User|Customer):\s*(.*?)(?=\n(?:AI|Assistant|Bot):|\Z)", re.DOTALL)
_SUM = re.compile(r"(\d{1,9})\s*([+*-])\s*(\d{1,9})\s*=\s*\??\s*$")
_SUMMARISE = re.compile(r"progressively summarize the lines|distill the above chat messages", re.IGNORECASE)
# Sentences that the florist adds for other seeds, so that another seed gives another answer.
_ASIDES = (
    "今天店里的花都是清晨刚到的。",
    "如果需要送货，请告诉我地址和时间，我们下午就可以送到。",
    "另外，卡片和丝带都是免费的，您可以慢慢挑选，有任何问题随时问我，我一直在店里。",
    "谢谢您！",
)
_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_WIDE = str.maketrans("，。？！：", ",.?!:")


def digest(*parts: str) -> int:
    """A number computed from *parts*."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()[:8], "big")


def last_line(prompt: str) -> str:
    """The human's last line in *prompt*, a transcript as LangChain's memories send it."""
    spoken = _HUMAN.findall(prompt)
    return spoken[-1].strip() if spoken else prompt


def answer(history: str, last: str, *, seed: str = "", words: int | None = None) -> str:
    """The model's answer to *last* after *history*, which contains *last*."""
    if words is not None:
        return _prose(digest(history, seed), words)
    if _SUMMARISE.search(history):
        return _summary(history)
    said = last_line(last)
    scripted = _script(history.translate(_WIDE), said.translate(_WIDE)) or _english(history.lower(), said.lower())
    if scripted is not None:
        return scripted + (_ASIDES[digest(said, seed) % len(_ASIDES)] if seed else "")
    if found := _SUM.search(said):
        return f" {_OPERATORS[found[2]](int(found[1]), int(found[3]))}"
    number = digest(history, seed)
    return f"Answer {number % 0x10000:04x}: {_prose(number, 8 + number % 41)}"


def _prose(number: int, words: int) -> str:
    """A text of *words* words computed from *number*."""
    chosen = []
    for index in range(words):
        # A linear congruential step: as good as random here, and the same on every machine.
        number = (number * 6364136223846793005 + 1442695040888963407) % 2**64
        word = _WORDS[(number >> 33) % len(_WORDS)]
        chosen.append(word + "." if index % 12 == 11 and index + 1 < words else word)
    return " ".join(chosen) + "." if chosen else ""


def _script(history: str, said: str) -> str | None:
    """The answers of the lesson's dialogue. An answer recalls only facts that *history* contains."""
    knows_roses = "粉色玫瑰" in history or "粉玫瑰" in history
    knows_birthday = "生日" in history
    if "还记得" in said and "花" in said:
        if not (knows_roses or knows_birthday):
            return "欢迎再次光临！很抱歉，我没有找到您昨天的记录，您能再说一说想买什么花吗？"
        what = "为姐姐的生日准备一束花" if knows_birthday else "买一束花"
        which = "，还特别提到她喜欢粉色玫瑰" if knows_roses else ""
        return (
            f"当然记得，欢迎您再来！您昨天来是想{what}{which}。花束已经按您的心意准备好了，需要我再帮您写一张贺卡吗？"
        )
    if "什么颜色" in said:
        if knows_roses:
            return "您说过，您姐姐喜欢粉色的玫瑰。"
        return "您还没有告诉我您姐姐喜欢什么颜色的花。如果不确定，粉色、白色和淡紫色都是很受欢迎的选择。"
    if "玫瑰" in said and ("喜欢" in said or "粉色" in said):
        return (
            "粉色玫瑰代表温柔和感谢，送给姐姐非常合适。"
            "我可以用十一枝粉色玫瑰，配上满天星和尤加利叶，再系一条浅粉色丝带，您看可以吗？"
        )
    if "哪种花" in said or "什么花" in said:
        return "玫瑰、百合、康乃馨：玫瑰表达爱意，百合寓意美好，康乃馨代表感恩与祝福。"
    if "生日" in said and "花" in said:
        return "祝您姐姐生日快乐！我们可以为她准备一束新鲜的生日花束。请问她喜欢什么花和什么颜色？您的预算大约是多少？"
    return None


def _english(history: str, said: str) -> str | None:
    """The same dialogue in English, as `token-meter demo` has it."""
    if "remember why" in said:
        if "birthday" not in history:
            return "Welcome back! I am sorry, I cannot find your visit of yesterday: what may I do for you?"
        which = ", who likes pink roses" if "pink rose" in history else ""
        return f"Of course, welcome back! You want a birthday bouquet for your sister{which}. Shall I add a card?"
    if "likes pink roses" in said:
        return "Pink roses say thank you, softly. Eleven of them, with eucalyptus and a pale ribbon: is that right?"
    if "birthday" in said and "bouquet" in said:
        return "Happy birthday to her! I will make a fresh bouquet. Which flowers and colours does she like?"
    return None


def _summary(history: str) -> str:
    """A short summary of the dialogue, of bounded length."""
    lines = history.rsplit("END OF EXAMPLE", 1)[-1]
    facts = ["The human talks to the AI of a flower shop."]
    if "生日" in lines or "birthday" in lines.lower():
        facts.append("It is about a bouquet for a sister's birthday (姐姐的生日花束).")
    if "粉色玫瑰" in lines or "pink rose" in lines.lower():
        facts.append("She likes pink roses (粉色玫瑰), and the AI suggests a bouquet of them.")
    if "还记得" in lines or "remember" in lines.lower():
        facts.append("The human comes back the next day, and the AI remembers why.")
    if len(facts) == 1:
        facts.append(f"They speak of matter {digest(lines) % 0x10000:04x}.")
    return " ".join(facts)
