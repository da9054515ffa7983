// What all pages share. Whatever comes from a photo or its file gets into a page as text only.

const $ = (id) => document.getElementById(id);

// -- text ---------------------------------------------------------------------------------------------------

// Control characters, separators of lines, marks that reorder text, and halves of characters.
const ACTING = /[\0-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]/gu;
const SHORT = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

const hex = (number, digits) => number.toString(16).padStart(digits, "0");

function shown(text) {
  return String(text ?? "").replace(ACTING, (one) => {
    const code = one.charCodeAt(0);
    return SHORT[one] ?? (code < 256 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
  });
}

// A path can be typed as it is: it is text, and no byte of it acts.
const plain = (photo) => !photo.path_b64 && shown(photo.path) === photo.path;

// The bytes of a path as a shell reads them: $'…'.
function spelled(photo) {
  const bytes = photo.path_b64
    ? Uint8Array.from(atob(photo.path_b64), (one) => one.charCodeAt(0))
    : new TextEncoder().encode(photo.path);
  const quoted = Array.from(bytes, (byte) => {
    const letter = byte > 0x1f && byte < 0x7f && byte !== 0x27 && byte !== 0x5c;
    return letter ? String.fromCharCode(byte) : `\\x${hex(byte, 2)}`;
  });
  return `$'${quoted.join("")}'`;
}

function made(kind, text, name) {
  const element = document.createElement(kind);
  element.textContent = shown(text);
  if (name) element.className = name;
  return element;
}

function say(text) {
  const said = $("said");
  said.textContent = text;
  said.showPopover?.();
  clearTimeout(say.until);
  say.until = setTimeout(() => said.hidePopover?.(), 1800);
}

// -- dark and light -----------------------------------------------------------------------------------------

const THEME = "photoclip-theme";

function remembered() {
  try {
    return localStorage.getItem(THEME);
  } catch {
    return null; // a browser may keep nothing for a file
  }
}

function paint(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

$("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme;
  const dark = now ? now === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  paint(dark ? "light" : "dark");
  try {
    localStorage.setItem(THEME, dark ? "light" : "dark");
  } catch {
    // then it holds until the page is closed
  }
});
paint(remembered());
