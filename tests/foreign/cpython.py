"""Which of CPython's own tests judge a socketserver, and what is exempt."""

import importlib.util
import sys

_LOGGING = (
    "SocketHandlerTest UnixSocketHandlerTest DatagramHandlerTest UnixDatagramHandlerTest "
    "SysLogHandlerTest UnixSysLogHandlerTest IPv6SysLogHandlerTest HTTPHandlerTest "
    "ConfigDictTest.test_listen_config_10_ok ConfigDictTest.test_listen_config_1_ok "
    "ConfigDictTest.test_listen_verify"
).split()

_IMAPLIB = (
    "NewIMAPTests NewIMAPSSLTests ThreadedNetworkedTests ThreadedNetworkedTestsSSL".split()
)

# Which of them there are depends on the release.
_ROBOTPARSER = "PasswordProtectedSiteTestCase? LocalNetworkTestCase? HttpErrorsTestCase?".split()

# What a Python need not have ends in a question mark.
SUITES = {
    "socketserver": ["test.test_socketserver"],
    "httpservers": ["test.test_httpservers"],
    "xmlrpc": ["test.test_xmlrpc"],
    "docxmlrpc": ["test.test_docxmlrpc"],
    "wsgiref": ["test.test_wsgiref"],
    # What serves nothing there has nothing to say about servers.
    "logging": [f"test.test_logging.{name}" for name in _LOGGING],
    "imaplib": [f"test.test_imaplib.{name}" for name in _IMAPLIB],
    "robotparser": [f"test.test_robotparser.{name}" for name in _ROBOTPARSER],
    "urllib": ["test.test_urllib2_localnet"],
}

_NEVER_BLOCKS = "has a program read a socket of a server's that is patched, and so never blocks"
_SIGNAL = "needs a signal to reach a native thread, with pthread_kill; patched, it is a greenlet"
EXEMPT_WHEN_PATCHED = {
    "test.test_httpservers.CGIHTTPServerTestCase.test_large_content_length": _NEVER_BLOCKS,
    "test.test_socketserver.SocketWriterTest.test_write": _SIGNAL,
    "test.test_wsgiref.IntegrationTests.test_interrupted_write": _SIGNAL,
}


def missing() -> str:
    """Say what is missing, or nothing: many distributions ship CPython's tests apart."""
    if importlib.util.find_spec("test") and importlib.util.find_spec("test.test_socketserver"):
        return ""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return (
        f"{sys.executable} has no 'test' package; install CPython's tests for it "
        f"(Debian: libpython{version}-testsuite) or use another interpreter"
    )
