"""Guesses the language of a text from its script, its function words and its letters: no model, no dependency."""

from __future__ import annotations

import re
from bisect import bisect_right
from unicodedata import normalize

_HEAD = 400  # characters of a text by which its language is guessed

# First letters of Unicode ranges, with the script, or the language where it alone has a script; "" is anything else.
_SCRIPTS = (
    (0x370, "el"), (0x400, "cyrillic"), (0x530, "hy"), (0x590, "he"), (0x600, "arabic"), (0x700, ""), (0x750, "arabic"),
    (0x780, ""), (0x900, "hi"), (0x980, "bn"), (0xA00, "pa"), (0xA80, "gu"), (0xB00, ""), (0xB80, "ta"), (0xC00, "te"),
    (0xC80, "kn"), (0xD00, "ml"), (0xD80, ""), (0xE00, "th"), (0xE80, "lo"), (0xF00, ""), (0x1000, "my"),
    (0x10A0, "ka"), (0x1100, "ko"), (0x1200, ""), (0x1780, "km"), (0x1800, ""), (0x1F00, "el"), (0x2000, ""),
    (0x3040, "han"), (0x3100, ""), (0x3130, "ko"), (0x3190, ""), (0x31F0, "han"), (0x3200, ""), (0x3400, "han"),
    (0xA000, ""), (0xAC00, "ko"), (0xD7B0, ""), (0xF900, "han"), (0xFB00, ""), (0xFB50, "arabic"), (0xFE00, ""),
    (0xFE70, "arabic"), (0xFF00, ""), (0xFF66, "han"), (0xFFA0, ""), (0x20000, "han"), (0x40000, ""),
)  # fmt: skip
_STARTS = [start for start, _ in _SCRIPTS]
# Runs of neither Latin letters nor punctuation: few ranges, so that Latin text is passed over quickly.
_RUN = re.compile("[^\x00-\u036f\u1e00-\u1eff\u2000-\u2bff\u3000-\u303f\uff00-\uff65]+")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9d]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+")

# Languages that share a script: letters that the main language of the script lacks; the first match decides.
_BY_LETTER = {
    "cyrillic": (
        ("uk", re.compile("[іїєґІЇЄҐ]")),
        ("sr", re.compile("[ђјљњћџЂЈЉЊЋЏ]")),
        ("ru", re.compile("[ыэёЫЭЁ]")),
        ("bg", re.compile("[ъЪ](?![еёюяЕЁЮЯ])")),  # in Russian it stands before these vowels only
    ),
    "arabic": (("ur", re.compile("[ٹڈڑںے]")), ("fa", re.compile("[پچژگیک]"))),
}
_MAIN = {"cyrillic": "ru", "arabic": "ar", "han": "zh"}
_SCRIPT_OF = {name: name for _, name in _SCRIPTS if name not in _MAIN} | {"zh": "han", "ja": "han"}
_SCRIPT_OF |= {code: name for name, marks in _BY_LETTER.items() for code in (_MAIN[name], *(c for c, _ in marks))}

# Frequent words, most of them without content. A word of several languages gives each a share of its vote.
_WORDS = {
    "en": "the of and to in is are was were that it for on with as by from at this what which who how when where "
    "why did does do has have had be been not or an a his their its many much can about than into also",
    "de": "der die das und ist sind war waren nicht ein eine einen einem einer des dem den von mit zu für auf im in "
    "wie was wer wen wem wo wann warum welche welcher welches welchem welchen worauf woran worüber seine "
    "seiner auch sich als bei nach durch wurde werden hat haben es aus zum zur viele über oder wird kann man "
    "um",
    "fr": "le la les des et est sont était dans un une du de que qui quoi quel quelle quels quelles pour par sur "
    "avec pas ne au aux ce cette ces se sa son ses comment pourquoi quand où combien plus il elle ils ont été "
    "a en ou je vous nous leur",
    "es": "el la los las de del y es son era fue en un una que qué quién quiénes cuál cuáles cómo cuándo dónde por "
    "para con no se su sus al lo como más cuántos cuántas cuánto cuánta entre sobre ha han hay está están "
    "fueron a o le según",
    "it": "il lo la i gli le di del della dei delle dello degli e è sono era un una uno che chi cosa quale quali "
    "come quando dove perché per con non si nel nella nei nelle al alla ai da dal dalla su sul sulla più in "
    "ha hanno anche quanti quante stato",
    "pt": "o a os as de do da dos das e é são era foi em no na nos nas um uma que quem qual quais como quando onde "
    "por para com não se seu sua seus suas ao à mais foram pelo pela está também há entre sobre ou porque "
    "quantos",
    "nl": "de het een en van is zijn was waren niet dat die in op te met voor aan er wat wie welke hoe waar wanneer "
    "waarom ook als bij door naar uit om heeft hebben werd worden wordt kan deze dit over of veel",
    "ro": "și şi de la în din cu pe nu este sunt era au fost un o al ale ai unui unei cel cea cei care ce cine cum "
    "când unde pentru prin mai sau că să se lui lor sa său câte câți câţi dintre după ca a fi cât",
    "tr": "ve bir bu da de ile için ne nedir kim kimdir hangi hangisi nasıl neden nerede olan olarak değil mi mı mu "
    "mü daha en çok gibi kadar sonra göre ise ya tarafından var yok kaç o zaman her şey hangisidir olduğu "
    "oldu vardır hangileri",
    "vi": "là của và các những có không được trong cho với một này đã người khi từ đến ở tôi bạn như nào gì ai bao "
    "nhiêu để về ra vào theo cũng thì mà hay sẽ bị tại trên năm phải làm nhiều sau mình ạ em cách xin hỏi thế "
    "đâu "
    # as it is typed without diacritics; "la", "do" and their kind are words of other languages, too
    "cua duoc khong nhung nguoi nhieu cung nhu voi cac truoc phai ngay hoac vao tren hien",
    "pl": "w na do się nie jest są był było jak co kto gdzie kiedy dlaczego który która które to że od po za przez "
    "dla czy ze oraz jego ich być tym tego",
    "cs": "v na se je jsou byl byla bylo není jak co kdo kde kdy proč který která které že od po za pro do ve ze "
    "jeho také nebo být tím při jako",
    "sv": "och i att det som en ett är var på för av med den till inte om har de vad vem hur när varför vilken "
    "vilka från sig eller kan hade ut också där",
    "da": "og i at det som en et er var på for af med den til ikke om har de hvad hvem hvordan hvor hvornår hvorfor "
    "hvilken hvilke fra sig eller kan blev også der",
    "fi": "ja on ei oli ovat että se joka mikä mitä kuka miten missä milloin miksi myös mutta kun kuin tai hän ne "
    "sen olla ole jos niin",
    "hu": "a az és egy nem is hogy ez van volt mi ki hol mikor miért hogyan melyik meg mint csak vagy ha de el már "
    "azt lehet",
    "id": "yang dan di ke dari ini itu untuk pada dengan adalah tidak apa siapa bagaimana kapan mana mengapa dalam "
    "oleh sebagai akan juga ada atau berapa telah",
}
# Letters that few other languages have; each one that occurs, however often, votes like a word.
_LETTERS = {
    "de": "ßäöü", "fr": "œçèêùûëïà", "es": "ñ¿¡", "it": "òìà", "pt": "ãõçà", "ro": "ășțţşâ", "tr": "ğışİöüç",
    "vi": "ơưđăĩũ" + "".join(map(chr, range(0x1EA0, 0x1EFA))), "pl": "ąęłńśźż", "cs": "ěřů", "sv": "åäö", "da": "åæø",
    "fi": "äö", "hu": "őű",
}  # fmt: skip


def _votes(marks: dict[str, list[str]]) -> dict[str, tuple[tuple[str, float], ...]]:
    """Mark -> the languages that have it and the share of a vote that it gives to each."""
    owners: dict[str, list[str]] = {}
    for language, its in marks.items():
        for mark in dict.fromkeys(its):
            owners.setdefault(mark, []).append(language)
    return {mark: tuple((name, 1 / len(names)) for name in names) for mark, names in owners.items()}


_WORD_VOTES = _votes({language: words.split() for language, words in _WORDS.items()})
_LETTER_VOTES = _votes({language: list(letters) for language, letters in _LETTERS.items()})
_LETTER_SET = frozenset(_LETTER_VOTES)


def guess(text: str) -> str:
    """The ISO 639-1 code of a text's language, or "" where there is no sign of it.

    Rule, over the first 400 characters: the commonest script other than Latin decides if it has at least half as many
    letters as Latin (Han with any Kana is Japanese; Cyrillic and Arabic depend on the letters that only Ukrainian,
    Serbian, Bulgarian, Urdu or Persian has). Else each function word and each characteristic letter votes for its Latin
    languages, with equal shares where there are several; most votes win, and a tie gives no answer. Japanese in Han
    alone counts as Chinese.
    """
    head = _head(text)
    if not head.isascii() and (runs := _RUN.findall(head)):
        scripts: dict[str, int] = {}
        for run in runs:
            name = script(run[0])
            scripts[name] = scripts.get(name, 0) + len(run)
        scripts.pop("", None)
        if scripts and 2 * sum(scripts.values()) >= sum(map(len, _LATIN.findall(head))):
            return _of_script(max(scripts, key=scripts.__getitem__), head)
    return _latin(head)


def marks(text: str) -> dict[str, int]:
    """The number of different function words and letters of each Latin language in a text's first 400 characters."""
    counts: dict[str, int] = {}
    for mark in {id(votes): votes for votes in _marks(_head(text))}.values():
        for language, _ in mark:
            counts[language] = counts.get(language, 0) + 1
    return counts


def accented(text: str) -> bool:
    """Whether a word with a small first letter, which is hardly a name, has a letter beyond ASCII."""
    return not text.isascii() and any(w[0].islower() and not w.isascii() for w in _LATIN.findall(_head(text)))


def _head(text: str) -> str:
    """The beginning by which a text is judged; decomposed and full-width letters become the usual ones (NFKC)."""
    head = text[:_HEAD]
    return head if head.isascii() else normalize("NFKC", head)


def script(character: str) -> str:
    """The script of a letter: "latin", "cyrillic", "arabic", "han" (Kana too), or the code of its only language.

    "" stands for all other scripts.
    """
    at = ord(character)
    if at < _STARTS[0] or 0x1E00 <= at < 0x1F00:
        return "latin"
    return _SCRIPTS[bisect_right(_STARTS, at) - 1][1]


def script_of(code: str) -> str:
    """The script of a language of `guess`, by the names of `script`."""
    return _SCRIPT_OF.get(code, "latin")


def _of_script(name: str, head: str) -> str:
    if name == "han" and _KANA.search(head):
        return "ja"
    for language, mark in _BY_LETTER.get(name, ()):
        if mark.search(head):
            return language
    return _MAIN.get(name, name)


def _marks(head: str) -> list[tuple[tuple[str, float], ...]]:
    """The votes of each function word, at each occurrence, and of each letter, once."""
    lowered = head.lower()
    votes = [_WORD_VOTES[word] for word in _LATIN.findall(lowered) if word in _WORD_VOTES]
    if not head.isascii():
        votes += [_LETTER_VOTES[letter] for letter in _LETTER_SET.intersection(head)]
    return votes


def _latin(head: str) -> str:
    votes: dict[str, float] = {}
    for mark in _marks(head):
        for language, vote in mark:
            votes[language] = votes.get(language, 0.0) + vote
    if not votes:
        return ""
    best = max(votes, key=votes.__getitem__)
    most = votes.pop(best)
    return "" if max(votes.values(), default=0.0) > most - 1e-9 else best
