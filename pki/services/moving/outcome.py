"""What came of bringing what an imported CA has issued: counted, and said where something was odd."""

from dataclasses import dataclass, field

from pki.services.moving.issued import Remark


@dataclass
class Outcome:
    """What came of it."""

    certificates: int = 0  # new ones
    devices: int = 0  # new ones
    already: int = 0  # certificates that were here before
    revoked: int = 0  # certificates that are revoked by this
    unseen: int = 0  # serials that are revoked, without a copy
    authorities: int = 0  # CAs below it that are declared compromised by this
    left_out: int = 0
    remarks: list[Remark] = field(default_factory=list)

    @property
    def in_words(self) -> str:
        below = f"{self.authorities} CAs below it declared compromised; " if self.authorities else ""
        return (
            f"{self.certificates} certificates of {self.devices} new devices; {self.revoked} revoked; "
            f"{self.unseen} revoked by serial alone; {below}{self.already} were here before; "
            f"{self.left_out} left out."
        )
