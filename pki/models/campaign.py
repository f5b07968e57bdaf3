"""Rotation campaigns: a fleet led from one issuer to another, or to new keys."""

from django.db import models
from django.db.models import Q

from pki.models.certificate import Certificate
from pki.models.device import Device, DeviceGroup, Label
from pki.models.issuer import Issuer


class Campaign(models.Model):
    """Renewals that are asked of many devices on purpose, a canary share first."""

    class Kind(models.TextChoices):
        ISSUER = "issuer", "issuer: certificates from another issuer"
        KEY = "key", "key: new keys"

    class State(models.TextChoices):
        DRAFT = "draft"
        CANARY = "canary", "canary: a share of the devices is asked"
        OPEN = "open", "open: all are asked, spread over the window"
        PAUSED = "paused", "paused: nobody is asked"
        STOPPED = "stopped", "stopped by itself: too many failures"
        ROLLING_BACK = "rolling back", "rolling back: who has moved is asked to move back"
        ROLLED_BACK = "rolled back"
        FINISHED = "finished"
        CANCELLED = "cancelled"

    # Those that ask nobody any more.
    ENDED = (State.ROLLED_BACK, State.FINISHED, State.CANCELLED)

    name = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=16, choices=Kind)
    state = models.CharField(max_length=16, choices=State, default=State.DRAFT)

    # Which devices: all conditions that are set must hold.
    from_issuer = models.ForeignKey(
        Issuer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Devices with a certificate of this issuer.",
    )
    group = models.ForeignKey(DeviceGroup, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    keys_before = models.DateTimeField(
        null=True, blank=True, help_text="Devices whose newest key was certified before this."
    )

    to_issuer = models.ForeignKey(
        Issuer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The issuer that they move to; none to rotate keys alone.",
    )
    canary_percent = models.PositiveSmallIntegerField(default=5, help_text="0 to 50; at least one device.")
    canary_seconds = models.PositiveIntegerField(
        default=3600, help_text="How long the canaries are watched, at least, before all are asked."
    )
    window_seconds = models.PositiveIntegerField(
        default=7 * 86400, help_text="Over how long the asking is spread; 0 asks all at once."
    )
    failures_percent = models.PositiveSmallIntegerField(
        default=5, help_text="It stops when more than this share of those asked failed."
    )

    gathered_up_to = models.BigIntegerField(
        null=True, blank=True, editable=False, help_text="The last device that was looked at; none: all were."
    )
    elsewhere = models.PositiveIntegerField(
        default=0, editable=False, help_text="Devices that were left out: another campaign leads them."
    )
    position = models.PositiveIntegerField(
        default=0, editable=False, help_text="Members whose place is below this are asked: 0 to 1000000."
    )
    canaries_below = models.PositiveIntegerField(
        default=0, editable=False, help_text="Where the canaries' places end, once all devices are gathered."
    )
    window_from = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the window began, as if never paused."
    )
    stepped_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Up to when it has done what was due."
    )
    doubted_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="The time of a step that came so late that it was not believed; the next has to agree.",
    )
    swept_up_to = models.BigIntegerField(
        default=0, editable=False, help_text="The last member that was looked at for having nothing to move."
    )
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=160)
    started_at = models.DateTimeField(null=True, blank=True)
    canaries_asked_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True, help_text="Since when all are asked.")
    paused_at = models.DateTimeField(null=True, blank=True)
    resumed_at = models.DateTimeField(
        null=True, blank=True, help_text="When it went on; failures before this are tried again."
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    resume_state = models.CharField(
        max_length=16, blank=True, editable=False, help_text="What a pause broke."
    )
    reason = models.CharField(max_length=500, blank=True, help_text="Why it stopped.")
    switched_profiles = models.JSONField(
        default=list, editable=False, help_text="Numbers of the profiles that it gave the new issuer."
    )

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "draft",
                        "canary",
                        "open",
                        "paused",
                        "stopped",
                        "rolling back",
                        "rolled back",
                        "finished",
                        "cancelled",
                    ]
                ),
                name="campaign_state_known",
            ),
            models.CheckConstraint(
                condition=Q(kind="issuer", to_issuer__isnull=False) | Q(kind="key", to_issuer__isnull=True),
                name="campaign_kind_and_issuer",
            ),
            models.CheckConstraint(condition=Q(canary_percent__lte=50), name="campaign_canary_share"),
            models.CheckConstraint(condition=Q(failures_percent__lte=100), name="campaign_failure_share"),
        )

    def __str__(self) -> str:
        return self.name


class CampaignMember(models.Model):
    """One device of a campaign, and how far it is."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting: not asked yet"
        ASKED = "asked", "asked, and not moved yet"
        RENEWED = "renewed", "renewed, and the new certificate not yet shown"
        MOVED = "moved", "moved: it has shown what it was asked for"
        FAILED = "failed"
        UNABLE = "unable", "unable: it cannot renew, and must enroll again"
        LEFT = "left", "left out: retired, or nothing to move"

    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="members", db_index=False)
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="campaigns")
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    canary = models.BooleanField(default=False, help_text="Whether it was asked as one of the canaries.")
    place = models.PositiveIntegerField(
        help_text="Where in the window it is asked: 0 to 999999, by a hash of its name and the campaign's."
    )
    old_issuer = models.ForeignKey(
        Issuer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        help_text="Who signed its certificate before; none if keys alone are rotated.",
    )
    asked_at = models.DateTimeField(null=True, blank=True)
    moved_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    code = models.CharField(max_length=64, blank=True, help_text="Why it failed.")
    reason = models.CharField(max_length=500, blank=True)
    certificate = models.ForeignKey(
        Certificate,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The new one.",
    )
    # Kept equal to "the campaign has not ended, and leads it still", for the constraint.
    living = models.BooleanField(default=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "asked", "renewed", "moved", "failed", "unable", "left"]),
                name="campaign_member_state_known",
            ),
            models.UniqueConstraint(fields=["campaign", "device"], name="campaign_member_once"),
            models.UniqueConstraint(
                fields=["device"], condition=Q(living=True), name="device_in_one_living_campaign"
            ),
        )
        indexes = (models.Index(fields=["campaign", "state", "place"], name="campaign_member_of_state"),)

    def __str__(self) -> str:
        return f"{self.device} in {self.campaign}: {self.state}"
