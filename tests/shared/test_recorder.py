"""The library's own suites, over our log on a real server: somebody else certifies our core."""

from collections.abc import Iterator
from typing import Any

import pytest
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.tests.application import ExampleApplicationTestCase
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    InfrastructureFactoryTestCase,
    NonInterleavingNotificationIDsBaseCase,
    ProcessRecorderTestCase,
    TrackingRecorderTestCase,
)
from eventsourcing.utils import Environment, get_topic

from shared.recorder import (
    JetStreamAggregateRecorder,
    JetStreamApplicationRecorder,
    JetStreamFactory,
    JetStreamProcessRecorder,
    JetStreamTrackingRecorder,
)

pytestmark = pytest.mark.nats


class OnOurLog:
    """Gives a suite of the library a factory on a server of its own."""

    @pytest.fixture(autouse=True)
    def _factory(self, nats_url: str) -> Iterator[None]:
        self.env = Environment("bakery", {"PERSISTENCE_MODULE": "shared.recorder", "NEXUS_NATS_URL": nats_url})
        self.ours: InfrastructureFactory[Any] = InfrastructureFactory.construct(self.env)
        yield
        self.ours.close()


class TestAggregateRecorder(OnOurLog, AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return self.ours.aggregate_recorder()


class TestApplicationRecorder(OnOurLog, ApplicationRecorderTestCase[ApplicationRecorder]):
    def create_recorder(self) -> ApplicationRecorder:
        return self.ours.application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestNonInterleavingNotificationIDs(OnOurLog, NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> ApplicationRecorder:
        return self.ours.application_recorder()


class TestTrackingRecorder(OnOurLog, TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        recorder: TrackingRecorder = self.ours.tracking_recorder()
        return recorder


class TestProcessRecorder(OnOurLog, ProcessRecorderTestCase):
    def create_recorder(self) -> ProcessRecorder:
        return self.ours.process_recorder()

    def test_events_and_position_are_stored_together_or_not_at_all(self) -> None:
        recorder = self.create_recorder()
        key = self.new_originator_id()
        recorder.insert_events([StoredEvent(key, 1, "topic", b"1")], tracking=Tracking("upstream", 5))

        with pytest.raises(IntegrityError):
            recorder.insert_events([StoredEvent(key, 1, "topic", b"again")], tracking=Tracking("upstream", 6))
        with pytest.raises(IntegrityError):
            recorder.insert_events([StoredEvent(key, 2, "topic", b"2")], tracking=Tracking("upstream", 5))

        assert recorder.max_tracking_id("upstream") == 5
        assert [event.state for event in recorder.select_events(key)] == [b"1"]

    def test_positions_are_no_notifications(self) -> None:
        recorder = self.create_recorder()
        [place] = recorder.insert_events([StoredEvent("a", 1, "topic", b"")], tracking=Tracking("upstream", 5)) or []
        recorder.insert_events([], tracking=Tracking("upstream", 6))

        assert recorder.max_notification_id() == place
        assert [notification.id for notification in recorder.select_notifications(None, 10)] == [place]


class TrackingRecorderOfOurOwn(JetStreamTrackingRecorder):
    """What a user of the library may configure."""


class TestInfrastructureFactory(OnOurLog, InfrastructureFactoryTestCase[JetStreamFactory]):
    def expected_factory_class(self) -> type[JetStreamFactory]:
        return JetStreamFactory

    def expected_aggregate_recorder_class(self) -> type[AggregateRecorder]:
        return JetStreamAggregateRecorder

    def expected_application_recorder_class(self) -> type[ApplicationRecorder]:
        return JetStreamApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[TrackingRecorder]:
        return JetStreamTrackingRecorder

    def tracking_recorder_subclass(self) -> type[TrackingRecorder]:
        return TrackingRecorderOfOurOwn

    def expected_process_recorder_class(self) -> type[ProcessRecorder]:
        return JetStreamProcessRecorder


class TestExampleApplication(OnOurLog, ExampleApplicationTestCase):
    expected_factory_topic = get_topic(JetStreamFactory)

    @pytest.fixture(autouse=True)
    def _environment(self, nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PERSISTENCE_MODULE", "shared.recorder")
        monkeypatch.setenv("NEXUS_NATS_URL", nats_url)


del AggregateRecorderTestCase, ApplicationRecorderTestCase, InfrastructureFactoryTestCase, ExampleApplicationTestCase
del NonInterleavingNotificationIDsBaseCase, ProcessRecorderTestCase, TrackingRecorderTestCase
