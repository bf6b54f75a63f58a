"""People who may use the gateway: roles, a file of users, and the brake on guessing."""

from gateway.users.lockout import Lockout
from gateway.users.roles import Role, highest
from gateway.users.store import User, UserFileError, UserStore

__all__ = ["Lockout", "Role", "User", "UserFileError", "UserStore", "highest"]
