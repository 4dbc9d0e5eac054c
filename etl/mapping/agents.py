"""What a user agent says of itself, in nine parts: `bot`, `mobile`, `mozilla`, `platform`, `os`, `engine`,
`engine_version`, `browser`, `browser_version`.

A user agent is a row of products, `Name/version (comment; comment)`. The parts are the words of the row itself
(`Linux x86_64`, `CPU iPhone OS 17_5 like Mac OS X`), which no library for user agents keeps: they give families and
split versions. Which product is the browser and which comment the system depends on the engine, the second product.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PARTS = ("bot", "mobile", "mozilla", "platform", "os", "engine", "engine_version", "browser", "browser_version")

_SITE = re.compile(r"https?://.+\.[A-Za-z0-9_]+")
_BOT_NAME = re.compile(r"bot|crawler|sp[iy]der|search|worm|fetch|nutch", re.IGNORECASE)
_WINDOWS = {
    "5.0": "Windows 2000",
    "5.01": "Windows 2000, Service Pack 1 (SP1)",
    "5.1": "Windows XP",
    "5.2": "Windows XP x64 Edition",
    "6.0": "Windows Vista",
    "6.1": "Windows 7",
    "6.2": "Windows 8",
    "6.3": "Windows 8.1",
    "10.0": "Windows 10",
}
# What Internet Explorer was, where it claims to be an older one.
_TRIDENT = {"4.0": "8.0", "5.0": "9.0", "6.0": "10.0"}
# Browsers with Apple's engine, by the place of their product in the row, counted from its end.
_BY_PLACE = (
    (-3, {"YaBrowser": "YaBrowser", "coc_coc_browser": "Coc Coc"}),
    (-2, {"Electron": "Electron", "DuckDuckGo": "DuckDuckGo", "PhantomJS": "PhantomJS"}),
)
_AFTER_ENGINE = {
    "Chrome": "Chrome",
    "CriOS": "Chrome",
    "HeadlessChrome": "Headless Chrome",
    "Chromium": "Chromium",
    "GSA": "Google App",
    "FxiOS": "Firefox",
}
_PLATFORMS = ("Windows", "Symbian", "webOS")


@dataclass(frozen=True)
class _Product:
    name: str = ""
    version: str = ""
    comments: tuple[str, ...] = ()


@dataclass
class _Agent:
    """What is known so far; `suspect`: its products do not tell what it is, look for a bot."""

    text: str
    mozilla: str = ""
    platform: str = ""
    os: str = ""
    engine: str = ""
    engine_version: str = ""
    browser: str = ""
    browser_version: str = ""
    bot: bool = False
    mobile: bool = False
    suspect: bool = False

    def names_crawler(self) -> bool:
        """Google's and Bing's mobile crawlers look like phones; their platform is not to be believed."""
        if "Google" in self.text or "bingbot" in self.text:
            self.platform, self.suspect = "", True
        return self.suspect

    def previews_message(self) -> bool:
        """iMessage's link preview says it is both Facebook's and Twitter's bot."""
        if "facebookexternalhit" not in self.text or "Twitterbot" not in self.text:
            return False
        self.bot, self.browser, self.engine, self.engine_version = True, "iMessage-Preview", "", ""
        return True

    def is_only(self, browser: str, version: str, bot: bool) -> None:
        """A bot, or a program that says no more than its name."""
        self.browser, self.browser_version, self.bot = browser, version, bot
        self.engine = self.engine_version = self.os = ""
        if not bot:
            self.mozilla = ""


def agent_parts(text: str) -> dict[str, str]:
    """The nine parts of a user agent; empty text where it does not say, `true` and `false` for `bot` and `mobile`."""
    products = _products(text) or [_Product()]
    first = products[0]
    agent = _Agent(text, mobile=any(product.name == "Mobile" for product in products))
    if first.name == "Mozilla":
        agent.mozilla = first.version
    _find_browser(agent, products)
    _find_system(agent, first)
    if agent.suspect:
        _find_bot(agent, products)
    found = {part: getattr(agent, part) for part in PARTS}
    return {part: value if isinstance(value, str) else str(value).lower() for part, value in found.items()}


def _products(text: str) -> list[_Product]:
    """The row of products. What stands in square brackets after a product is not read."""
    found: list[_Product] = []
    at = 0
    while at < len(text):
        name, version, comments = "", "", ""
        has_comment = False
        if text[at] not in "([":
            end = text.find(" ", at)
            end = len(text) if end < 0 else end
            name, _, version = text[at:end].partition("/")
            at = end + 1
        if text[at : at + 1] == "(":
            has_comment = True
            comments, at = _enclosed(text, at + 1, ")")
        if text[at : at + 1] == "[":
            _, at = _enclosed(text, at + 1, "]")
        found.append(_Product(name, version, tuple(comments.split("; ")) if has_comment else ()))
    return found


def _enclosed(text: str, start: int, closing: str) -> tuple[str, int]:
    """The text up to the closing bracket, parentheses inside counted; and the place after it and its blank."""
    depth = 0
    for at in range(start, len(text)):
        if text[at] == closing and depth == 0:
            return text[start:at], at + 2
        depth += 1 if text[at] == "(" else -1 if text[at] == closing else 0
    return text[start:], len(text)


def _find_browser(agent: _Agent, products: list[_Product]) -> None:
    first = products[0]
    if first.name == "Opera":
        agent.browser, agent.browser_version, agent.engine = "Opera", first.version, "Presto"
        agent.engine_version = products[1].version if len(products) > 1 else ""
    elif first.name == "Dalvik":
        agent.mozilla = "5.0"
    elif len(products) == 1:
        _find_old_explorer(agent, first.comments)
    else:
        agent.engine, agent.engine_version = products[1].name, products[1].version
        if len(products) > 2:
            _find_browser_after_engine(agent, products)


def _find_old_explorer(agent: _Agent, comments: tuple[str, ...]) -> None:
    """Internet Explorer up to 10: everything stands in one comment, `compatible; MSIE 7.0; ..; Trident/6.0`."""
    if len(comments) < 2 or comments[0] != "compatible" or not comments[1].startswith("MSIE"):
        return
    agent.engine, agent.browser = "Trident", "Internet Explorer"
    trident = next((comment[8:] for comment in comments if comment.startswith("Trident/")), "")
    agent.browser_version = _TRIDENT.get(trident) or comments[1][4:].strip()


def _find_browser_after_engine(agent: _Agent, products: list[_Product]) -> None:
    # Ubuntu names itself without a version before the browser.
    after = products[3] if products[2].version == "" and len(products) > 3 else products[2]
    agent.browser_version = after.version
    if agent.engine == "AppleWebKit":
        _find_webkit_browser(agent, products, after)
    elif agent.engine == "Gecko":
        named = products[4] if products[2].name == "MRA" and len(products) > 4 else None
        agent.browser = named.name if named else products[2].name
        agent.browser_version = named.version if named else after.version
    elif agent.engine == "like" and products[2].name == "Gecko":  # Internet Explorer 11: `.. rv:11.0) like Gecko`
        revisions = (comment[3:] for comment in products[0].comments if re.match("rv:.", comment))
        agent.engine, agent.browser, agent.browser_version = "Trident", "Internet Explorer", next(revisions, "")


def _find_webkit_browser(agent: _Agent, products: list[_Product], after: _Product) -> None:
    last, before_last = products[-1], products[-2]
    agent.suspect = any(comment.startswith(("Googlebot", "bingbot")) for comment in products[1].comments)
    if last.name == "Edge":
        agent.browser, agent.browser_version, agent.engine, agent.engine_version = "Edge", last.version, "EdgeHTML", ""
    elif last.name == "Edg":
        if not agent.suspect:
            agent.browser, agent.browser_version, agent.engine_version = "Edge", last.version, before_last.version
    elif last.name == "OPR":
        agent.browser, agent.browser_version = "Opera", last.version
    elif last.name == "Mobile":
        agent.browser, agent.browser_version = "Mobile App", ""
    else:
        agent.browser = _AFTER_ENGINE.get(after.name, "Safari")
        for place, names in _BY_PLACE:
            if products[place].name in names:
                agent.browser, agent.browser_version = names[products[place].name], products[place].version
                return


def _find_system(agent: _Agent, first: _Product) -> None:
    comments = first.comments
    if first.name == "Mozilla":
        agent.platform = _platform(comments)
        if agent.platform == "Windows":
            agent.os = _windows(comments[0])
        match agent.engine:
            case "":
                agent.suspect = True
            case "Gecko":
                _find_gecko_system(agent, comments)
            case "AppleWebKit":
                _find_webkit_system(agent, comments)
            case "Trident":
                agent.platform = "Windows"
                agent.os = agent.os or (_windows(comments[2]) if len(comments) > 2 else "Windows NT 4.0")
                agent.mobile = agent.mobile or any(comment.startswith("IEMobile") for comment in comments)
    elif first.name == "Opera":
        if comments:
            _find_opera_system(agent, comments)
    elif first.name == "Dalvik":
        if comments and comments[0].startswith("Linux"):
            agent.platform, agent.mobile = comments[0], True
            agent.os = comments[2] if len(comments) > 2 else ""
    elif first.name == "okhttp":
        agent.browser, agent.browser_version, agent.mobile = "OkHttp", first.version, True
    else:
        agent.suspect = True


def _platform(comments: tuple[str, ...]) -> str:
    if not comments or comments[0] == "compatible":
        return ""
    if comments[0] == "BB10":
        return "BlackBerry"
    return next((name for name in _PLATFORMS if comments[0].startswith(name)), comments[0])


def _windows(name: str) -> str:
    """The name Windows is sold under, for `Windows NT 6.1`; other names as they are."""
    words = name.split(" ", 2)
    return _WINDOWS.get(words[2], name) if len(words) == 3 and words[1] == "NT" else name


def _find_gecko_system(agent: _Agent, comments: tuple[str, ...]) -> None:
    if len(comments) < 2:
        return
    if comments[1] in ("U", "arm_64"):
        agent.os = _windows(comments[2] if len(comments) > 2 else comments[1])
    elif "Android" in agent.platform:
        agent.platform, agent.os, agent.mobile = _windows(comments[1]), agent.platform, True
    elif comments[0] in ("Mobile", "Tablet"):
        agent.os, agent.mobile = "FirefoxOS", True
    else:
        agent.os = agent.os or _windows(comments[1])


def _find_webkit_system(agent: _Agent, comments: tuple[str, ...]) -> None:
    if agent.platform == "webOS":
        agent.browser, agent.os, agent.mobile = "webOS", "Palm", True
    elif agent.platform == "Symbian":
        agent.browser, agent.os, agent.mobile = "Symbian", comments[0], True
    elif agent.platform == "Linux":
        _find_android_system(agent, comments)
    elif comments:
        if comments[0].startswith("Windows NT"):
            agent.os = _windows(comments[0])
        elif len(comments) > 2:
            agent.os = _windows(comments[2])
        elif len(comments) == 2 and not agent.names_crawler() and not agent.previews_message():
            agent.os = _windows(comments[1])
        if agent.platform == "BlackBerry":
            agent.browser = "BlackBerry"
            agent.os = "BlackBerry" if agent.os == "Touch" else agent.os
    # Firefox on an iPad says it were a Macintosh.
    if (agent.platform, agent.engine, agent.browser) == ("Macintosh", "AppleWebKit", "Firefox"):
        agent.platform, agent.mobile = "iPad", True


def _find_android_system(agent: _Agent, comments: tuple[str, ...]) -> None:
    """`Linux; Android 14; Pixel 8`, in older ones `Linux; U; Android 4.0; ..`."""
    agent.mobile = True
    if agent.browser == "Safari":
        agent.browser = "Android"
    if len(comments) > 1 and comments[1] not in ("U", "arm_64"):
        agent.os = comments[1]
    elif len(comments) > 2:
        agent.os = comments[2]
    elif len(comments) == 2:
        agent.os, agent.mobile = comments[0], False
    if len(comments) == 3:
        agent.names_crawler()


def _find_opera_system(agent: _Agent, comments: tuple[str, ...]) -> None:
    if comments[0].startswith("Windows"):
        agent.platform, agent.os = "Windows", _windows(comments[0])
    else:
        agent.platform = comments[0]
        agent.os = comments[1] if len(comments) > 1 else comments[0]
        agent.mobile = agent.mobile or comments[0].startswith("Android")


def _find_bot(agent: _Agent, products: list[_Product]) -> None:
    """Bots give the address of a site in a comment, or call themselves one; what is left is a program of some sort."""
    first = products[0]
    if len(products) == 1 and first.name != "Mozilla":
        if _BOT_NAME.search(first.name):
            agent.is_only(first.name, "", bot=True)
        else:
            agent.is_only(first.name, first.version, bot=bool(_named_by_site(first.comments)))
        return
    for product in products:
        if name := _named_by_site(product.comments):
            name, _, version = name.partition("/")
            agent.is_only(name, version, bot=True)
            return
    agent.browser, agent.browser_version, agent.mozilla = first.name, first.version, ""


def _named_by_site(comments: tuple[str, ...]) -> str:
    """The name beside a site's address, `compatible; Googlebot/2.1; +http://..`; in short comments the address."""
    if not comments:
        return ""
    place = 0 if len(comments) < 3 else 3 if len(comments) == 4 else 2
    site = _SITE.search(comments[place])
    if not site:
        return ""
    return comments[place - 1].strip() if place else site[0]
