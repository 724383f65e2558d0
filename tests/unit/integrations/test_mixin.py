"""Does an application gain methods and keep everything else?"""

from __future__ import annotations

import pytest

from tracegate.integrations.mixin import mix_in


class Service:
    """An application that greets."""

    def greet(self) -> str:
        """Greet."""
        return "hello"


class Loud(Service):
    """Greets louder."""

    def greet(self) -> str:
        """Greet."""
        return super().greet().upper()


def test_a_mixin_stands_before_the_class_of_one_instance_only() -> None:
    """The instance keeps its identity, its type, its names and its attributes; other instances are as before."""
    one, other = Service(), Service()
    one.colour = "blue"  # type: ignore[attr-defined]
    same = mix_in(one, Loud)
    assert same is one
    assert (one.greet(), other.greet()) == ("HELLO", "hello")
    assert (type(one).__name__, type(one).__module__, type(one).__doc__) == ("Service", __name__, Service.__doc__)
    assert isinstance(one, Service)
    assert one.colour == "blue"  # type: ignore[attr-defined]


def test_a_mixin_stands_before_a_subclass_too() -> None:
    """The subclass's own method is the one that it calls."""

    class Polite(Service):
        def greet(self) -> str:
            return "good morning"

    polite = Polite()
    mix_in(polite, Loud)
    assert polite.greet() == "GOOD MORNING"
    assert type(polite).__qualname__ == Polite.__qualname__


def test_what_the_mixin_does_not_fit_is_refused_and_unchanged() -> None:
    """A wrapper looks like the application, and is none."""

    class Wrapper:
        pass

    wrapper = Wrapper()
    with pytest.raises(TypeError, match="a Service application is wanted, not a Wrapper around it"):
        mix_in(wrapper, Loud)
    assert type(wrapper) is Wrapper
