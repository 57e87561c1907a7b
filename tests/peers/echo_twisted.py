# Answers each message with its bytes reversed; the frames are those of the Twisted receiver in the argument.
import os
import sys

from twisted.internet import defer, endpoints, protocol, task
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.protocols import basic
from zope.interface import implementer


# Other protocols lose pending data when the parent half-closes
@implementer(IHalfCloseableProtocol)
class Echo(getattr(basic, sys.argv[1])):
    MAX_LENGTH = 4 * 1024 * 1024

    def __init__(self):
        self.closed = defer.Deferred()

    def connectionMade(self):
        self.transport.write(os.environ.pop("SOCKETPAIR_TOKEN").encode())
        self.sendString(b"hello from twisted")

    def stringReceived(self, message):
        self.sendString(message[::-1])

    def readConnectionLost(self):
        self.transport.loseConnection()

    def writeConnectionLost(self):
        pass

    def connectionLost(self, reason):
        self.closed.errback(reason)


async def main(reactor):
    path = os.environ.pop("SOCKETPAIR_PATH")
    endpoint = endpoints.UNIXClientEndpoint(reactor, path)
    echo = await endpoint.connect(protocol.Factory.forProtocol(Echo))
    try:
        await echo.closed
    except ConnectionDone:
        pass


task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
