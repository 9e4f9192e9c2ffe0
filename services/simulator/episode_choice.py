"""Which episode of a run a film shows."""

from libs.common.errors import NotFound
from libs.common.events import EpisodeEnded, FilmWish


class EpisodeChooser:
    """Looks at a run's episodes as they come, and keeps the one that is wished for."""

    def __init__(self, run_id: str, wish: FilmWish) -> None:
        self._run_id, self._wish = run_id, wish
        self._chosen: EpisodeEnded | None = None
        self._numbers: set[int] = set()

    def look_at(self, event: EpisodeEnded) -> None:
        """One more; of those with one number the last counts."""
        wish = self._wish
        if event.phase != wish.phase or wish.evaluation_id not in (None, event.rollout_id):
            return
        self._numbers.add(event.episode)
        if wish.episode == "best":
            if self._chosen is None or _merit(event) > _merit(self._chosen):
                self._chosen = event
        elif wish.episode in ("last", event.episode):
            self._chosen = event

    def chosen(self) -> EpisodeEnded:
        """
        The one that is wished for.

        Raises:
            NotFound: there is none; the message says which there are.
        """
        if self._chosen is not None:
            return self._chosen
        there = f"0 to {max(self._numbers)}" if self._numbers else "none"
        where = f" of evaluation {self._wish.evaluation_id!r}" if self._wish.evaluation_id else ""
        raise NotFound(
            f"run {self._run_id!r} has no {self._wish.phase} episode {self._wish.episode}{where}; "
            f"there are: {there}"
        )


def _merit(episode: EpisodeEnded) -> tuple[float, float]:
    """Higher is better: a lap before none, then the faster one, or the one that came further."""
    lap_s = episode.lap_s
    return (float("-inf") if lap_s is None else -lap_s, episode.progress_pct)
