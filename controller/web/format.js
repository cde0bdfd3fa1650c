// Numbers and times as people read them. One language, 24-hour clock, the site's time zone.

const LOCALE = "en-GB";
const GAP = "\u202f";
const numbers = new Map();
let zone = "UTC";
let clockFormat, dayFormat, shortDayFormat, partsFormat;

export const UNKNOWN = "–";

export function setZone(name) {
  if (name === zone && clockFormat) return;
  zone = name;
  try {
    makeFormats();
  } catch {
    zone = "UTC"; // a zone this browser does not know
    makeFormats();
  }
}

function makeFormats() {
  const make = (options) => new Intl.DateTimeFormat(LOCALE, { timeZone: zone, hourCycle: "h23", ...options });
  clockFormat = make({ hour: "2-digit", minute: "2-digit" });
  dayFormat = make({ weekday: "short", day: "numeric", month: "short" });
  shortDayFormat = make({ weekday: "short" });
  partsFormat = make({ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
makeFormats();

export const zoneName = () => zone;
export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function number(value, digits = 0) {
  if (!isNumber(value)) return UNKNOWN;
  if (!numbers.has(digits)) numbers.set(digits, new Intl.NumberFormat(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const text = numbers.get(digits).format(value).replace("-", "\u2212");
  return /^\u2212[0.,]+$/.test(text) ? text.slice(1) : text;
}

const united = (value, digits, unit) => (isNumber(value) ? `${number(value, digits)}${GAP}${unit}` : UNKNOWN);

export const amps = (value, digits = 1) => united(value, Number.isInteger(value) && digits === 1 ? 0 : digits, "A");
export const ampsFixed = (value) => united(value, 1, "A");
export const percent = (value) => united(value, 0, "%");
export const kilowatts = (watts) => united(isNumber(watts) ? watts / 1000 : null, Math.abs(watts) >= 99950 ? 0 : 1, "kW");
export const kilowattHours = (wattHours) => united(isNumber(wattHours) ? wattHours / 1000 : null, Math.abs(wattHours) >= 99950 ? 0 : 1, "kWh");
export const seconds = (value) => united(value, value < 1 ? 2 : 1, "s");

export function money(value, currency) {
  if (!isNumber(value)) return UNKNOWN;
  try {
    return new Intl.NumberFormat(LOCALE, { style: "currency", currency }).format(value);
  } catch {
    return `${number(value, 2)} ${currency}`;
  }
}

export const clock = (wallS) => clockFormat.format(wallS * 1000);
export const day = (wallS) => dayFormat.format(wallS * 1000);

// 17:30, or Wed 06:00 when it is not today.
export function moment(wallS, nowWallS) {
  const near = dayFormat.format(wallS * 1000) === dayFormat.format(nowWallS * 1000);
  return near ? clock(wallS) : `${shortDayFormat.format(wallS * 1000)} ${clock(wallS)}`;
}

// 45 s, 12 min, 3 h 05 min, 2 d 4 h
export function duration(totalS) {
  const whole = Math.max(0, Math.round(totalS));
  if (whole < 90) return `${whole}${GAP}s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return `${minutes}${GAP}min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours}${GAP}h ${String(minutes % 60).padStart(2, "0")}${GAP}min` : `${hours}${GAP}h`;
  return `${Math.floor(hours / 24)}${GAP}d ${hours % 24}${GAP}h`;
}

// The site's wall time without a zone, for the charts' time axis.
export function localStamp(wallS) {
  const part = Object.fromEntries(partsFormat.formatToParts(wallS * 1000).map(({ type, value }) => [type, value]));
  return `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute}:${part.second}`;
}
