"""TLS for every protocol (IEC 62351-3): both sides with certificates, told apart by who may show which.

`settings` reads the keys, `plan` is what they become, `findings` says what is wrong with the files, `door` makes
contexts and judges who came through, `channel` is TLS between a TCP connection and a protocol.
"""
