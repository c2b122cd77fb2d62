"""Suites that a provider runs against itself: what every provider must do, whoever the vendor is."""

from trunkline.testing.suites.llm import LanguageModelSuite, ModelStage, ModelTrouble
from trunkline.testing.suites.realtime import RealtimeProviderSuite
from trunkline.testing.suites.realtime_stage import Scene, Trouble, Vendor

__all__ = ["LanguageModelSuite", "ModelStage", "ModelTrouble", "RealtimeProviderSuite", "Scene", "Trouble", "Vendor"]
