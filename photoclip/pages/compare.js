// Duplicates side by side: a list of groups that holds only what is near the view, and two photos large.

const about = JSON.parse($("about").textContent);
const list = $("groups");
const large = $("large");
const help = $("keys");
const stage = $("stage");

const reachable = location.protocol === "file:"; // a page on a web server is far from the photos
const TALLEST = 15_000_000; // CSS pixels: of a page that is longer, browsers lose parts
const PARSED = 16; // script elements whose pictures are kept

const groups = Array.from(document.querySelectorAll("script.groups")).flatMap((script) => {
  const some = JSON.parse(script.textContent);
  script.remove();
  return some;
});
groups.forEach((group, index) => {
  group.number = index + 1;
  group.spare = group.photos.filter((photo) => !photo.stays).flatMap((photo) => [photo, ...photo.along]);
  group.room = group.spare.reduce((sum, { size }) => sum + size, 0);
});

// -- words --------------------------------------------------------------------------------------------------

const name = (photo) => photo.path.slice(photo.path.lastIndexOf("/") + 1);
const ending = (photo) => name(photo).split(".").pop().slice(0, 8);
const folder = (photo) => photo.path.slice(0, photo.path.lastIndexOf("/")) || "/";
const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);

function room(bytes) {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

// A word for a shell, whatever is in the path.
const quoted = (photo) => (plain(photo) ? `'${photo.path.replaceAll("'", `'\\''`)}'` : spelled(photo));

// What is known of a photo, in two lines; what differs from the best one stands out.
function facts(photo, best) {
  const area = ({ width, height }) => width * height;
  const taken = ({ taken_at }) => taken_at?.replace("T", " ");
  return [
    [
      fact(`${photo.width} × ${photo.height}`, photo.width !== best.width || photo.height !== best.height, area(photo) - area(best)),
      fact(room(photo.size), photo.size !== best.size, photo.size - best.size),
      fact(photo !== best && photo.thumb === best.thumb ? "same bytes" : photo.format, photo.format !== best.format),
    ],
    [
      fact(taken(photo) ?? (taken(best) && "no date"), taken(photo) !== taken(best)),
      fact(photo.camera ?? (best.camera && "no camera"), photo.camera !== best.camera),
    ],
  ].map((line) => line.filter(Boolean));
}

function fact(text, differs, more = 0) {
  if (!text) return null;
  const element = made("span", text, differs ? "differs" : "");
  if (differs && more) element.prepend(made("span", more < 0 ? "↓\u00a0" : "↑\u00a0"));
  if (differs) element.append(made("span", more ? (more < 0 ? ", less" : ", more") : ", differs", "unseen"));
  return element;
}

function marked(element, photo) {
  element.textContent = photo.stays ? "stays" : "spare";
  element.classList.toggle("stays", photo.stays);
}

// -- the thumbnails: parsed where they are needed, while the page is still coming in ------------------------

const parsed = new Map();
let waiting = []; // what shall get a picture that is not there yet

function thumb(index) {
  const number = Math.floor(index / about.batch);
  if (!parsed.has(number)) {
    const script = $(`pictures-${number}`);
    if (!script || (document.readyState === "loading" && !script.nextElementSibling)) return undefined;
    if (parsed.size === PARSED) parsed.delete(parsed.keys().next().value);
    parsed.set(number, JSON.parse(script.textContent));
  }
  return parsed.get(number)[index % about.batch];
}

function drawThumbnail(picture, photo) {
  const address = thumb(photo.thumb);
  if (address) picture.src = address;
  else if (address === undefined && document.readyState === "loading") waiting.push([picture, photo]);
  else picture.replaceWith(made("span", ending(photo)));
}

function catchUp() {
  const late = waiting;
  waiting = [];
  for (const [picture, photo] of late) if (picture.isConnected) drawThumbnail(picture, photo);
}

// -- which groups, and in which order -----------------------------------------------------------------------

const choice = $("choose").elements;
const ORDERS = {
  number: (one, other) => one.number - other.number,
  room: (one, other) => other.room - one.room,
  similarity: (one, other) => one.similarity - other.similarity,
  path: ({ photos: [one] }, { photos: [other] }) => (one.path < other.path ? -1 : Number(one.path > other.path)),
};
let order = []; // the groups that are chosen

function choose() {
  const text = choice.path.value.trim().toLowerCase();
  const fits = ({ path, along = [] }) => path.toLowerCase().includes(text) || along.some(fits);
  order = groups
    .filter((group) => (!choice.level.value || group.level === choice.level.value) && (!text || group.photos.some(fits)))
    .sort(ORDERS[choice.sort.value]);
  at = null;
  tally();
  lay();
  if (scrollY > start()) scrollTo(0, start());
}

function tally() {
  const all = counted(groups.length, "group");
  const found = order.length === groups.length ? all : `${order.length.toLocaleString("en")} of ${all}`;
  const won = room(sum(order.map((group) => group.room)));
  $("count").textContent = `${found} · ${counted(sum(order.map(({ spare }) => spare.length)), "spare photo")} · ${won} to win`;
}

function tell(text) {
  $("note").hidden = !text;
  $("note").textContent = text;
}

// -- where each group lies ----------------------------------------------------------------------------------

let places = []; // of each group in order: {left, top, width, height, columns, rows, line}
let lines = []; // the first place in each line of groups
let laid = 0; // the width they were laid out for
let heights = { one: 0, row: 0 }; // of a group with one row, and of each further row

const gap = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--gap"));

// Small groups share a line; one that needs several rows has its lines for itself.
function lay() {
  const between = gap();
  laid = list.clientWidth;
  const width = laid + between;
  const columns = width < 560 ? 2 : Math.floor(width / 245);
  const cell = width / columns;
  list.style.setProperty("--picture", `${Math.round((cell - 30) * 0.75)}px`);
  [places, lines] = [[], []];
  measure();
  let [column, top, bottom] = [columns, 0, 0];
  for (const { photos } of order) {
    const across = Math.min(photos.length, columns);
    if (column + across > columns) {
      [column, top] = [0, bottom];
      lines.push(places.length);
    }
    const rows = Math.ceil(photos.length / columns);
    const height = heights.one + (rows - 1) * heights.row;
    if (top + height > TALLEST) break;
    places.push({ left: column * cell, top, width: across * cell - between, height, columns: across, rows, line: lines.length - 1 });
    bottom = Math.max(bottom, top + height + between);
    column += rows > 1 ? columns : across;
  }
  list.style.height = `${bottom}px`;
  const left = order.length - places.length;
  tell(left ? `The first ${counted(places.length, "group")}; a filter shows the others.` : order.length ? "" : "No duplicates.");
  list.replaceChildren();
  drawn.clear();
  render();
}

function measure() {
  const photo = { path: "/photo", width: 1, height: 1, size: 1, format: "JPEG", taken_at: "2000", camera: "camera", along: [] };
  const probe = article({ number: 1, level: "", similarity: 1, room: 0, photos: [photo, photo, photo] }, 0, 0, 2);
  Object.assign(probe.style, { height: "auto", contain: "none" });
  list.append(probe);
  const [first, , third] = probe.querySelectorAll("li");
  const row = third.offsetTop - first.offsetTop;
  heights = { one: probe.offsetHeight - row, row };
  probe.remove();
}

const start = () => list.getBoundingClientRect().top + scrollY - covered() - gap();
const covered = () => (getComputedStyle($("choose")).position === "sticky" ? $("choose").offsetHeight : 0);

// -- only what is near the view is there --------------------------------------------------------------------

const drawn = new Map(); // what is on the page, by its place: {element, first, last}, its first row and the one after its last
let at = null; // what was last looked at: {place, photo}

function render() {
  const top = -list.getBoundingClientRect().top;
  const [from, to] = [top - innerHeight / 2, top + innerHeight * 1.5];
  const wanted = near(from, to);
  for (const [place, { element }] of drawn) {
    if (wanted.has(place)) continue;
    element.remove();
    drawn.delete(place);
  }
  let next = null; // in the page they stand in their order, for who goes through them with Tab
  for (const place of [...wanted].reverse()) {
    const element = current(place, from, to);
    if (!element.isConnected) list.insertBefore(element, next);
    next = element;
  }
}

function near(from, to) {
  let [low, high] = [0, lines.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const { top, height } = places[lines[middle]];
    if (top + height < from) low = middle + 1;
    else high = middle;
  }
  const found = new Set();
  for (let place = lines[low] ?? places.length; places[place]?.top < to; place++) found.add(place);
  return found;
}

// Also of a group with thousands of copies, only the rows near the view are there.
function current(place, from, to) {
  const { top, rows } = places[place];
  const row = (y) => Math.floor((y - top - heights.one + heights.row) / heights.row);
  const [first, last] = rows < 4 ? [0, rows] : [Math.max(row(from), 0), Math.min(row(to) + 1, rows)];
  const old = drawn.get(place);
  if (old?.first === first && old.last === last) return old.element;
  const element = article(order[place], place, first, last);
  const focused = old?.element.contains(document.activeElement);
  old?.element.replaceWith(element);
  if (focused) focus(element);
  drawn.set(place, { element, first, last });
  return element;
}

function article(group, place, first, last) {
  const element = $("group").content.firstElementChild.cloneNode(true);
  const { left, top, width, height, columns } = places[place] ?? { columns: 2 }; // measured, before it has a place
  for (const [side, value] of Object.entries({ left, top, width, height })) element.style[side] = `${value}px`;
  element.dataset.place = place;
  element.setAttribute("aria-posinset", place + 1);
  element.setAttribute("aria-setsize", order.length);
  const words = {
    number: `Group ${group.number}`,
    level: group.level,
    similarity: group.similarity < 1 ? group.similarity.toFixed(3) : "",
    room: `${room(group.room)} to win`,
  };
  for (const [one, text] of Object.entries(words)) element.querySelector(`.${one}`).textContent = text;
  element.setAttribute("aria-label", `${Object.values(words).filter(Boolean).join(", ")}, ${counted(group.photos.length, "photo")}`);
  const rows = element.querySelector("ol");
  rows.style.setProperty("--columns", columns);
  rows.style.paddingTop = `${first * heights.row || 0}px`;
  rows.start = first * columns + 1;
  for (let index = first * columns; index < Math.min(last * columns, group.photos.length); index++) {
    rows.append(item(group.photos[index], group.photos[0], index));
  }
  return element;
}

function item(photo, best, index) {
  const element = $("photo").content.firstElementChild.cloneNode(true);
  element.dataset.photo = index;
  const doing = photo.stays ? "stays" : "spare";
  element.querySelector(".picture").setAttribute("aria-label", `${shown(name(photo))}, ${doing}: compare`);
  drawThumbnail(element.querySelector("img"), photo);
  describe(element, photo, best);
  return element;
}

function describe(element, photo, best) {
  marked(element.querySelector(".mark"), photo);
  const words = { name: name(photo), folder: folder(photo) };
  for (const [one, text] of Object.entries(words)) {
    element.querySelector(`.${one}`).textContent = element.querySelector(`.${one}`).title = shown(text);
  }
  if (photo.along.length) element.querySelector(".name").textContent += shown(` + ${photo.along.map(name).join(" + ")}`);
  const told = facts(photo, best);
  element.querySelectorAll(".facts").forEach((line, index) => line.replaceChildren(...told[index].flatMap((one) => [one, " "])));
}

// -- going from photo to photo ------------------------------------------------------------------------------

const focus = (element) => element.querySelector(`[data-photo="${at?.photo}"] .picture`)?.focus({ preventScroll: true });

function look(place, photo = 0) {
  if (!places.length) return;
  place = Math.min(Math.max(place, 0), places.length - 1);
  at = { place, photo: Math.min(Math.max(photo, 0), order[place].photos.length - 1) };
  const { top, columns } = places[place];
  const row = Math.floor(at.photo / columns);
  const upper = list.getBoundingClientRect().top + top + (row && heights.one + (row - 1) * heights.row);
  const lower = upper + (row ? heights.row : heights.one);
  const margin = gap();
  if (upper < covered() + margin) scrollBy({ top: upper - covered() - margin, behavior: "instant" });
  else if (lower > innerHeight - margin) scrollBy({ top: lower - innerHeight + margin, behavior: "instant" });
  render();
  focus(drawn.get(place).element);
}

// Nothing is looked at yet: begin with what can be seen.
function seen() {
  const top = covered() - list.getBoundingClientRect().top;
  look([...near(top, top + 1)].find((place) => places[place].top >= top - heights.one / 2) ?? 0);
}

function step(direction) {
  if (!at) return seen();
  const photo = at.photo + direction;
  if (photo >= 0 && photo < order[at.place].photos.length) look(at.place, photo);
  else if (places[at.place + direction]) look(at.place + direction, direction > 0 ? 0 : Infinity);
}

// The row above or below: in the same group, or the nearest photo of the next line of groups.
function climb(direction) {
  if (!at) return seen();
  const { columns, rows, line } = places[at.place];
  const row = Math.floor(at.photo / columns) + direction;
  if (row >= 0 && row < rows) return look(at.place, at.photo + direction * columns);
  const middle = (place, column) => places[place].left + ((column + 0.5) * places[place].width) / places[place].columns;
  const from = middle(at.place, at.photo % columns);
  let [best, least] = [null, Infinity];
  for (let place = lines[line + direction] ?? places.length; places[place]?.line === line + direction; place++) {
    for (let column = 0; column < places[place].columns; column++) {
      const far = Math.abs(middle(place, column) - from);
      const last = direction < 0 ? (places[place].rows - 1) * places[place].columns : 0;
      if (far < least) [best, least] = [[place, last + column], far];
    }
  }
  if (best) look(...best);
}

// -- two photos, large --------------------------------------------------------------------------------------

const sides = ["one", "other"].map((id) => ({
  pane: $(id),
  picture: $(id).querySelector("img"),
  absent: $(id).querySelector(".absent"),
  about: $(`about-${id}`),
}));
const labels = [stage.querySelector(".left"), stage.querySelector(".right")];
const view = { scale: 1, x: 0, y: 0, fitted: true }; // CSS pixels a pixel of the box; where the box begins in a pane
const apart = { scale: 1, x: 0, y: 0 }; // the other photo against the box, in pixels of the box
let pair = null; // {place, other}: a group, and which of its photos is beside the best
let box = { width: 1, height: 1 }; // in pixels of the larger photo: both are drawn at its size
let blinking = 0;

const mode = () => stage.dataset.mode;
const dense = () => devicePixelRatio || 1;
const photos = () => [order[pair.place].photos[0], order[pair.place].photos[pair.other]];

function open(place, photo) {
  const group = order[place];
  const other = Math.min(photo || 1, group.photos.length - 1);
  at = pair = { place, photo: other, other };
  const shape = JSON.stringify(box);
  const [best, copy] = photos();
  box = best.width * best.height < copy.width * copy.height ? size(copy) : size(best);
  Object.assign(apart, { scale: 1, x: 0, y: 0 });
  pressAlign(false);
  const title = [`Group ${group.number}`, group.level, group.similarity < 1 && group.similarity.toFixed(3), `photo ${other + 1} of ${group.photos.length}`];
  $("large-title").textContent = title.filter(Boolean).join(" · ");
  $("before").disabled = other <= 1;
  $("after").disabled = other >= group.photos.length - 1;
  $("deny").hidden = best.thumb === copy.thumb;
  $("deny").querySelector("code").textContent = `photoclip dupes deny ${quoted(best)} ${quoted(copy)}`;
  const fresh = !large.open;
  if (fresh) large.showModal();
  photos().forEach((photo, index) => tellOf(sides[index], photo, best));
  compare(mode());
  photos().forEach((photo, index) => enlarge(sides[index], photo));
  if (fresh || shape !== JSON.stringify(box)) fit();
}

const size = ({ width, height }) => ({ width, height });

function tellOf(side, photo, best) {
  side.about.replaceChildren(...$("photo").content.firstElementChild.cloneNode(true).children);
  side.about.querySelector(".picture").remove();
  describe(side.about, photo, best);
  const last = made("p", "", "original");
  const link = made("a", "Open the original");
  Object.assign(link, { href: photo.href, target: "_blank", rel: "noopener noreferrer" });
  if (reachable) last.append(link, " ");
  last.append(made("span", "", "stand-in"));
  side.about.append(last);
}

// The thumbnail, until the original is there; for good, where the browser cannot show it.
async function enlarge(side, photo) {
  const { picture } = side;
  const address = thumb(photo.thumb);
  const there = (yes) => ([picture.hidden, side.absent.hidden] = [!yes, yes]);
  picture.alt = shown(name(photo));
  if (address) picture.src = address;
  else picture.removeAttribute("src");
  there(Boolean(address));
  side.whole?.removeAttribute("src"); // who turns the pages fast waits for the last one only
  side.state = reachable ? "loading" : "thumbnail";
  hint();
  if (reachable) {
    const whole = (side.whole = new Image());
    whole.src = photo.href;
    const good = await whole.decode().then(() => true, () => false);
    if (side.whole !== whole) return;
    if (good) picture.src = whole.src;
    there(good || Boolean(address));
    side.state = good ? (changed(whole, photo) ? "changed" : "original") : address ? "thumbnail" : "nothing";
    hint();
  }
}

const changed = (picture, photo) =>
  Math.max(picture.naturalWidth, picture.naturalHeight) !== Math.max(photo.width, photo.height) ||
  Math.min(picture.naturalWidth, picture.naturalHeight) !== Math.min(photo.width, photo.height);

const STATES = {
  loading: "The original is being loaded …",
  original: "",
  changed: "The file is not what was compared: it has other pixels now.",
  thumbnail: "This is the thumbnail: the browser cannot show the original, or it is not there.",
  nothing: "The browser cannot show this photo, or it is not there, and there is no thumbnail.",
};

function hint() {
  for (const { about, state } of sides) about.querySelector(".stand-in").textContent = STATES[state] ?? "";
  const [best, copy] = photos();
  const skewed = Math.abs((best.width * copy.height) / (best.height * copy.width) - 1) > 0.01;
  stage.classList.toggle("whole", skewed); // else both fill the box: a resized copy lies over its original
  const words = mode() === "side" ? ["The wheel zooms, dragging moves, a double click shows 100 %."] : [];
  if (mode() !== "side" && skewed) words.push("The proportions differ: one may be a crop, or turned.");
  if (mode() === "difference") words.push("Black is where both are equal.");
  if (mode() === "difference" && sides.some(({ state }) => state === "thumbnail")) words.push("A thumbnail has lost fine detail.");
  if (mode() !== "side") words.push("A crop does not lie over its original by itself; Align moves and scales it alone.");
  $("hint").textContent = words.join(" ");
}

function labelled() {
  photos().forEach((photo, index) => {
    labels[index].textContent = `${photo.stays ? "stays" : "spare"} · ${photo.width} × ${photo.height}`;
  });
  if (stage.classList.contains("flipped") || mode() !== "blink") return;
  labels[0].textContent = labels[1].textContent;
}

function compare(wanted) {
  stage.dataset.mode = wanted;
  for (const button of large.querySelectorAll("[data-mode]")) {
    if (button !== stage) button.setAttribute("aria-pressed", button.dataset.mode === wanted);
  }
  $("sliding").hidden = wanted !== "slide";
  $("strength").hidden = wanted !== "difference";
  clearInterval(blinking);
  stage.classList.remove("flipped");
  if (wanted === "blink" && !matchMedia("(prefers-reduced-motion: reduce)").matches) blinking = setInterval(flip, 800);
  labelled();
  hint();
}

function switched(wanted) {
  compare(wanted);
  if (view.fitted) fit();
  else draw();
}

function flip() {
  stage.classList.toggle("flipped");
  labelled();
}

function blink() {
  if (mode() !== "blink") return switched("blink");
  clearInterval(blinking);
  flip();
}

function split(part) {
  stage.style.setProperty("--split", `${part}%`);
  $("split").value = part;
}

function stronger(times) {
  $("stronger").value = times;
  stage.style.setProperty("--strength", times);
}

function pressAlign(on) {
  $("align").setAttribute("aria-pressed", on);
}

const aligning = () => $("align").getAttribute("aria-pressed") === "true";

// -- zoom and pan: the same for both ------------------------------------------------------------------------

function fitting() {
  const { clientWidth, clientHeight } = sides[0].pane;
  return Math.min(clientWidth / box.width, clientHeight / box.height, 8);
}

function fit() {
  const { clientWidth, clientHeight } = sides[0].pane;
  const scale = fitting();
  Object.assign(view, { scale, x: (clientWidth - box.width * scale) / 2, y: (clientHeight - box.height * scale) / 2, fitted: true });
  draw();
}

function draw() {
  const { clientWidth, clientHeight } = sides[0].pane;
  const kept = (from, length, room) => Math.min(Math.max(from, Math.min(60, room / 4) - length), room - Math.min(60, room / 4));
  view.x = kept(view.x, box.width * view.scale, clientWidth);
  view.y = kept(view.y, box.height * view.scale, clientHeight);
  sides.forEach(({ picture }, index) => {
    const { scale, x, y } = index ? apart : { scale: 1, x: 0, y: 0 };
    picture.style.width = `${box.width * view.scale * scale}px`;
    picture.style.height = `${box.height * view.scale * scale}px`;
    picture.style.transform = `translate(${view.x + x * view.scale}px, ${view.y + y * view.scale}px)`;
  });
  stage.classList.toggle("coarse", view.scale * dense() >= 3);
  $("scale").textContent = `${(view.scale * dense() * 100).toFixed(view.scale * dense() < 0.1 ? 1 : 0)} %`;
}

// The point that stays where it is, in a pane: the middle without any.
function within(point) {
  const boxes = sides.map(({ pane }) => pane.getBoundingClientRect());
  const inside = ({ left, right, top, bottom }) => point && point.x >= left && point.x <= right && point.y >= top && point.y <= bottom;
  const { left, top, width, height } = boxes.find(inside) ?? boxes[0];
  return point ? { x: point.x - left, y: point.y - top } : { x: width / 2, y: height / 2 };
}

function zoom(factor, point) {
  const { x, y } = within(point);
  if (aligning()) {
    const [across, down] = [(x - view.x) / view.scale, (y - view.y) / view.scale];
    const next = Math.min(Math.max(apart.scale * factor, 0.2), 5);
    apart.x = across - ((across - apart.x) * next) / apart.scale;
    apart.y = down - ((down - apart.y) * next) / apart.scale;
    apart.scale = next;
  } else {
    const next = Math.min(Math.max(view.scale * factor, Math.min(fitting(), 1 / dense()) / 4), 32 / dense());
    view.x = x - ((x - view.x) * next) / view.scale;
    view.y = y - ((y - view.y) * next) / view.scale;
    Object.assign(view, { scale: next, fitted: false });
  }
  draw();
}

function move(across, down) {
  if (aligning()) {
    apart.x += across / view.scale;
    apart.y += down / view.scale;
  } else {
    Object.assign(view, { x: view.x + across, y: view.y + down, fitted: false });
  }
  draw();
}

function natural(point) {
  if (aligning()) return;
  if (Math.abs(view.scale * dense() - 1) < 0.001) fit();
  else zoom(1 / dense() / view.scale, point);
}

const fingers = new Map(); // and the mouse: where each is
let dragging = ""; // the view, or the border of the slide

stage.addEventListener("pointerdown", (event) => {
  if (event.button || event.target.closest("button")) return;
  stage.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  dragging = event.target.closest(".handle") ? "border" : "view";
});
stage.addEventListener("pointermove", (event) => {
  if (!fingers.has(event.pointerId)) return;
  const before = [...fingers.values()];
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  const after = [...fingers.values()];
  if (dragging === "border") {
    const { left, width } = stage.getBoundingClientRect();
    return split(Math.min(Math.max(((event.clientX - left) / width) * 100, 0), 100));
  }
  const [from, to] = [before, after].map((some) => ({ x: sum(some.map(({ x }) => x)) / some.length, y: sum(some.map(({ y }) => y)) / some.length }));
  move(to.x - from.x, to.y - from.y);
  const spread = ([one, other]) => Math.hypot(one.x - other.x, one.y - other.y);
  if (after.length === 2 && spread(before) > 0) zoom(spread(after) / spread(before), to);
});
for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, ({ pointerId }) => fingers.delete(pointerId));
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode ? 18 : 1);
  zoom(Math.exp(-Math.min(Math.max(pixels, -120), 120) / (event.ctrlKey ? 100 : 400)), { x: event.clientX, y: event.clientY });
}, { passive: false });
stage.addEventListener("dblclick", (event) => {
  if (!event.target.closest("button, .handle")) natural({ x: event.clientX, y: event.clientY });
});
new ResizeObserver(() => large.open && (view.fitted ? fit() : draw())).observe(stage);

// -- what a hand does ---------------------------------------------------------------------------------------

const turn = (direction) => order[pair.place].photos[pair.other + direction] && pair.other + direction > 0 && open(pair.place, pair.other + direction);
const hop = (direction) => places[pair.place + direction] && open(pair.place + direction, 1);
const strengthen = () => stronger({ 1: 4, 4: 16, 16: 1 }[$("stronger").value]);

async function copy(element, what) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    say(what);
  } catch {
    getSelection().selectAllChildren(element);
    say("The browser does not let this page copy");
  }
}

const deny = () => $("deny").hidden || copy($("deny").querySelector("code"), "Command copied");

const AMONG = {
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  ArrowDown: () => climb(1),
  ArrowUp: () => climb(-1),
  Home: () => look(0),
  End: () => look(places.length - 1),
  " ": () => at && open(at.place, at.photo),
  Enter: () => at && open(at.place, at.photo),
  "/": () => choice.path.focus(),
  "?": () => help.showModal(),
};
const ENLARGED = {
  ArrowRight: () => turn(1),
  ArrowLeft: () => turn(-1),
  ArrowDown: () => hop(1),
  ArrowUp: () => hop(-1),
  1: () => switched("side"),
  2: () => switched("slide"),
  3: () => switched("blink"),
  4: () => switched("difference"),
  " ": blink,
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  0: fit,
  z: () => natural(),
  a: () => pressAlign(!aligning()),
  x: strengthen,
  c: deny,
  "?": () => help.showModal(),
};
const SHIFTED = {
  ArrowRight: () => move(-40, 0),
  ArrowLeft: () => move(40, 0),
  ArrowDown: () => move(0, -40),
  ArrowUp: () => move(0, 40),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
  if (event.target.closest("input, select")) return;
  if ([" ", "Enter"].includes(event.key) && event.target.closest("button, a")) return; // they are pressed
  const act = large.open ? ((event.shiftKey && SHIFTED[event.key]) || ENLARGED[event.key]) : AMONG[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

list.addEventListener("focusin", ({ target }) => (at = seat(target) ?? at));
list.addEventListener("click", ({ target }) => {
  const { place, photo } = (target.closest(".picture") && seat(target)) ?? {};
  if (place !== undefined) open(place, photo);
});

function seat(element) {
  const item = element.closest("li");
  return item && { place: Number(item.closest("article").dataset.place), photo: Number(item.dataset.photo) };
}

large.addEventListener("close", () => {
  clearInterval(blinking);
  for (const side of sides) {
    side.whole = null;
    side.picture.removeAttribute("src"); // two photos of a good camera take half a gigabyte
  }
  if (!document.activeElement.closest("form")) look(pair.place, pair.other);
});
for (const button of large.querySelectorAll(".modes button")) button.addEventListener("click", () => switched(button.dataset.mode));
$("close").addEventListener("click", () => large.close());
$("before").addEventListener("click", () => turn(-1));
$("after").addEventListener("click", () => turn(1));
$("smaller").addEventListener("click", () => zoom(0.8));
$("larger").addEventListener("click", () => zoom(1.25));
$("scale").addEventListener("click", () => (view.fitted ? natural() : fit()));
$("align").addEventListener("click", () => pressAlign(!aligning()));
$("split").addEventListener("input", ({ target }) => split(target.value));
$("stronger").addEventListener("change", ({ target }) => stronger(target.value));
$("deny").querySelector("button").addEventListener("click", deny);
$("command").querySelector("button").addEventListener("click", () => copy($("command").querySelector("code"), "Command copied"));
$("help").addEventListener("click", () => help.showModal());
$("choose").addEventListener("input", choose);
$("choose").addEventListener("submit", (event) => event.preventDefault());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  seen();
});
addEventListener("scroll", render, { passive: true });
addEventListener("resize", () => {
  if (list.clientWidth === laid) return render(); // a phone has hidden its bars
  const held = at;
  lay();
  if (held && !large.open) look(held.place, held.photo);
});

// -- at last ------------------------------------------------------------------------------------------------

$("title").textContent = document.title = shown(about.title);
$("command").hidden = !about.command;
$("command").querySelector("code").textContent = shown(about.command);
for (const level of new Set(groups.map((group) => group.level))) {
  const count = groups.filter((group) => group.level === level).length;
  choice.level.append(new Option(`${level} (${count.toLocaleString("en")})`, level));
}
split(50);
choose();

if (document.readyState === "loading") {
  const arriving = setInterval(catchUp, 50);
  document.addEventListener("DOMContentLoaded", () => {
    clearInterval(arriving);
    catchUp();
  });
}
announce();

// For whoever measures: the first groups are to be seen, with their pictures.
async function announce() {
  const frame = () => new Promise(requestAnimationFrame);
  while (waiting.length) await frame();
  await Promise.all(Array.from(list.querySelectorAll("img"), (picture) => picture.decode().catch(() => {})));
  await frame();
  performance.mark("shown");
}
