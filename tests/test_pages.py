"""The pages that greensock has, in one browser, because that takes long to start."""

from contextlib import contextmanager

import pytest

import greensock
from examples.irc.server import Client, Door, hall_class
from examples.irc.web import Page
from greensock.status import Status
from tests.browser import browsing, needs_chromium
from tests.helpers import LOCAL, Echo, connect, served
from tests.test_irc_server import Chatter

# The browser is the same in both worlds, and the servers have tests in each.
pytestmark = [pytest.mark.worldless, needs_chromium]


class Site(Door, greensock.GreenletTCPServer):
    """The port for browsers, who keep connections in reserve."""

    drain_timeout = 0


@pytest.fixture(scope="module")
def window():
    with browsing() as browser:
        yield browser


def test_the_status_shows_who_is_connected_and_draws_its_plots(window):
    """It breaks no rule of its own policy."""
    server = greensock.GreenletTCPServer(LOCAL, Echo)
    with served(server), served(Status("127.0.0.1:0", [server])) as status:
        with connect(server) as client:
            client.sendall(b"x")
            client.recv(1)
            window.open(status.url)
            window.wait(
                "find('state').textContent === 'ready' && find('state').className === 'good'"
            )
            window.wait("[...document.querySelectorAll('.edge')].every((edge) => "
                        "/^M\\d+ [\\d.]+/.test(edge.getAttribute('d')))")
            peer = "%s:%d" % client.getsockname()  # which is asked for after the rest
            window.wait("find('connections').textContent.includes(arguments[0])", peer)
            assert "1" == window.text("#active output")
            assert [] == window.complaints()
        window.open("about:blank")  # which ends its connections


# The IRC example: in the same rooms is somebody with another client.


@pytest.fixture(scope="module")
def hall():
    with served(hall_class("greenlet")(LOCAL, Client)) as hall:
        yield hall


@pytest.fixture(scope="module")
def site(hall):
    site = Site(LOCAL, Page)
    site.network = hall.network
    with served(site):
        yield site


@pytest.fixture
def page(window, site):
    """The page as it is found by who comes for the first time; it must not complain."""
    window.open("http://127.0.0.1:%d/" % site.server_address[1])
    window.run("localStorage.clear(); location.hash = '#x'; location.reload()")
    window.wait("find('#door form').channel.value === '#x'")
    try:
        yield window
        assert [] == window.complaints()
    finally:
        window.open("about:blank")  # which ends the connection


@contextmanager
def somebody(hall, nick="Ann"):
    """Another client, who is in #x."""
    with Chatter.connect(hall.server_address) as chatter:
        chatter.enter(nick, "JOIN #x").hear(" 366 ")
        yield chatter
        chatter.say("QUIT").hear("ERROR")


ENTER = "\ue007"


def enter(page, nick="Bob"):
    page.type("[name=nick]", nick + ENTER)
    page.wait("current?.name === '#x' && current.members.size > 1")


def say(page, text):
    page.type("#say textarea", text + ENTER)


def see(page, text):
    """Wait until the text is one of the lines to be read."""
    lines = "[...document.querySelectorAll('#talk p')]"
    page.wait(f"{lines}.some((line) => line.innerText === arguments[0])", text)


def test_people_talk_whatever_they_have(hall, page):
    with somebody(hall) as ann:
        enter(page)
        ann.hear(":Bob!")
        say(page, "hello")
        ann.hear("PRIVMSG #x :hello")
        ann.say("PRIVMSG #x :Hi Bob", "PRIVMSG #x :\1ACTION waves\1")
        see(page, "Hi Bob")
        see(page, "Ann waves")
        assert 1 == page.run("return find('#talk').innerText.split('hello').length - 1")
        say(page, "/me smiles")
        ann.hear("PRIVMSG #x :\1ACTION smiles\1")
        say(page, "/nick Robert")
        ann.hear("NICK Robert")
        members = "find('#members ul').innerText.replace(/\\s+/g, ' ')"
        page.wait(f"{members} === 'A Ann @ R Robert'")
        say(page, "/msg Ann psst")
        ann.hear("PRIVMSG Ann :psst")
        ann.say("PRIVMSG Robert :yes?")
        see(page, "yes?")
        say(page, "/part")  # which ends that, and the next one the other
        page.wait("current.name === '#x'")
        say(page, "/part")
        ann.hear(" PART ")
        say(page, "/join x")
        ann.hear(" JOIN ")
        say(page, "/quit that's all")
        ann.hear("QUIT :Quit: that's all")
        page.wait("find('#hall').hidden")


HOSTILE = "<img src=x onerror=alert(1)> '&amp; https://example.org/?a=b&c=<b>. javascript:alert(1)"


def test_what_others_say_is_text(hall, page):
    """And so are their topics; what looks like a link is one, and leads nowhere else."""
    with somebody(hall, "[^`_\\|]") as ann:
        ann.say(f"TOPIC #x :{HOSTILE}")
        enter(page)
        ann.say(f"PRIVMSG #x :{HOSTILE}", "PRIVMSG #x :\x1b[2J\x0304,01red\x02\u202e")
        see(page, HOSTILE)
        see(page, "[2Jred")
        assert HOSTILE == page.text("#topic")
        assert 0 == page.run("return document.querySelectorAll('img, #hall b:not(#me b)').length")
        links = page.run(
            "return [...document.querySelectorAll('#talk .message a')].map((a) => [a.href, a.rel])"
        )
        assert [["https://example.org/?a=b&c=", "noopener noreferrer nofollow"]] == links


def test_a_nick_that_is_taken_is_told(hall, page):
    """Before anybody is in; another one will do."""
    with somebody(hall):
        page.type("[name=nick]", "ann" + ENTER)
        page.wait("find('#trouble').textContent === 'ann is taken.'")
        page.run("find('#door form').nick.value = ''")
        enter(page)


def test_a_connection_that_is_lost_is_made_again(hall, site, page):
    """Nick and channels are as they were."""
    with somebody(hall) as ann:
        enter(page)
        ann.hear("JOIN")
        for connection in site.connections:
            site.kick(connection)
        ann.hear("QUIT")
        ann.hear("JOIN #x")
        page.wait("find('#bar').hidden && find('#state').textContent === 'connected'")
        say(page, "here again")
        ann.hear("PRIVMSG #x :here again")


def test_a_small_screen_has_room_for_all(hall, page):
    """What is at the sides comes when it is asked for."""
    page.resize(360, 640)
    try:
        with somebody(hall) as ann:
            enter(page)
            ann.say(f"PRIVMSG #x :{'x' * 400}", f"TOPIC #x :{'y' * 300}")
            see(page, "x" * 400)
            assert 360 == page.run("return document.documentElement.scrollWidth")
            assert page.run("return find('#say').getBoundingClientRect().bottom") <= 640
            for side in "rooms", "members":
                page.click(f"#show-{side}")
                page.wait(f"getComputedStyle(find('#{side}')).visibility === 'visible'")
                page.type("body", "\ue00c")
                page.wait(f"getComputedStyle(find('#{side}')).visibility === 'hidden'")
    finally:
        page.resize(1280, 800)
