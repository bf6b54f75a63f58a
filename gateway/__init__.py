"""The heart of the gateway: points, feed, broker, processes. It knows no protocol."""

__version__ = "0.1.0"
