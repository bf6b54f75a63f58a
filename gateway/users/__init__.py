"""People who may use the gateway: roles, a file of users, and the brake on guessing.

`gateway.users.store` is imported by name: it loads argon2, which the command line does without.
"""

from gateway.users.lockout import Lockout
from gateway.users.roles import Role, highest

__all__ = ["Lockout", "Role", "highest"]
