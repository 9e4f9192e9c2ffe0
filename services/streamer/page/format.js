// Numbers, durations and words as people read them.

export const NOTHING = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
const twoDigits = new Intl.NumberFormat("en", { maximumFractionDigits: 2, minimumFractionDigits: 2 });

export const count = (value) => whole.format(value);

/** Large values to the whole, small ones with the digits that tell them apart. */
export function amount(value) {
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (size >= 1000) return sign + whole.format(size);
  if (size >= 100) return sign + oneDigit.format(size);
  if (size >= 1 || size === 0) return sign + twoDigits.format(size);
  return sign + Number(size.toPrecision(2));
}

export const percent = (value) => (value >= 100 ? "100" : oneDigit.format(value));
export const lapTime = (seconds) =>
  seconds < 60
    ? twoDigits.format(seconds)
    : `${Math.floor(seconds / 60)}:${twoDigits.format(seconds % 60).padStart(5, "0")}`;

/** 75 -> "1:15", 3675 -> "1:01:15". */
export function duration(seconds) {
  const rest = Math.max(Math.floor(seconds), 0);
  const parts = [Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60];
  const shown = parts[0] > 0 ? parts : parts.slice(1);
  return shown.map((part, i) => (i === 0 ? `${part}` : `${part}`.padStart(2, "0"))).join(":");
}

const STATUS = {
  lap_complete: "lap", off_track: "off track", immobilized: "stuck", reversed: "wrong way",
  crashed: "crashed", time_up: "time up", in_progress: "driving",
};
export const episodeStatus = (status) => STATUS[status] ?? status;

/** "episode 41" or "evaluation, trial 2". */
export const episodeName = (peak) =>
  peak.phase === "evaluation" ? `evaluation, trial ${peak.episode}` : `episode ${count(peak.episode)}`;
