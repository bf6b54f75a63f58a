"""Function codes of the application layer (IEEE 1815-2012)."""

from __future__ import annotations

from enum import IntEnum


class Function(IntEnum):
    """0 to 128 are requests, 129 and above responses."""

    CONFIRM = 0
    READ = 1
    WRITE = 2
    SELECT = 3
    OPERATE = 4
    DIRECT_OPERATE = 5
    DIRECT_OPERATE_NO_ACK = 6
    IMMEDIATE_FREEZE = 7
    IMMEDIATE_FREEZE_NO_ACK = 8
    FREEZE_CLEAR = 9
    FREEZE_CLEAR_NO_ACK = 10
    FREEZE_AT_TIME = 11
    FREEZE_AT_TIME_NO_ACK = 12
    COLD_RESTART = 13
    WARM_RESTART = 14
    INITIALIZE_DATA = 15
    INITIALIZE_APPLICATION = 16
    START_APPLICATION = 17
    STOP_APPLICATION = 18
    SAVE_CONFIGURATION = 19
    ENABLE_UNSOLICITED = 20
    DISABLE_UNSOLICITED = 21
    ASSIGN_CLASS = 22
    DELAY_MEASURE = 23
    RECORD_CURRENT_TIME = 24
    OPEN_FILE = 25
    CLOSE_FILE = 26
    DELETE_FILE = 27
    GET_FILE_INFORMATION = 28
    AUTHENTICATE_FILE = 29
    ABORT_FILE = 30
    ACTIVATE_CONFIGURATION = 31
    AUTHENTICATION_REQUEST = 32
    AUTHENTICATION_REQUEST_NO_ACK = 33
    RESPONSE = 129
    UNSOLICITED_RESPONSE = 130
    AUTHENTICATION_RESPONSE = 131

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


NAMES = {int(function): function.words for function in Function}


def words(code: int) -> str:
    """For a person: the name of a function code, or its number."""
    return NAMES.get(code, f"function {code}")
