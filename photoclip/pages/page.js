// One page for two lives: a contact sheet, which holds its photos itself, and `photoclip browse`, which asks for them.

const about = JSON.parse($("about").textContent);
const large = $("large");
const help = $("keys");

const reachable = about.live || location.protocol === "file:"; // a sheet on a web server is far from the photos
const FULL = 600; // photos in one list: the layout of thousands in one takes long, at every move

let cards = []; // the photos on the page, in order: {photo, element}
let at = -1; // the one that was last looked at
let list = null; // where the next one goes
let ranked = false; // the best come first
let ended = false; // the line where relevance ends is drawn

// -- text ---------------------------------------------------------------------------------------------------

// What to paste into a shell: the path, or, where pasting it would do something else, its bytes.
const pasteable = (photo) => (plain(photo) ? photo.path : spelled(photo));

const counted = (count, more) => `${count.toLocaleString("en")}${more ? "+" : ""} photo${count === 1 ? "" : "s"}`;
const day = (photo) => (photo.taken_at ?? "").slice(0, 10);
const pixels = (photo) => `${photo.width} × ${photo.height}`;
const number = (value) => (value == null ? "" : value.toFixed(3));

// -- the photos ---------------------------------------------------------------------------------------------

function start() {
  cards = [];
  at = -1;
  ended = false;
  $("answer").replaceChildren();
  section();
}

function section(title) {
  const part = document.createElement("section");
  if (title) part.append(made("h2", title, "line"));
  $("answer").append(part);
  begin(part);
}

function begin(part) {
  list = made("ol", "", ended ? "photos far" : "photos");
  part.append(list);
}

function add(photos) {
  for (const photo of photos) {
    if (ranked && photo.relevant === false && !ended) endRelevance();
    if (list.childElementCount === FULL) {
      list.classList.add("full");
      begin(list.parentElement);
    }
    const element = drawn(photo);
    element.dataset.index = cards.length;
    cards.push({ photo, element });
    list.append(element);
  }
}

function endRelevance() {
  ended = true;
  if (cards.length) return section("Not relevant below here");
  $("answer").replaceChildren();
  section($("note").hidden ? "Nothing here stands out. The nearest:" : ""); // the note says it
}

function tally(more) {
  const answers = cards.filter(({ photo }) => photo.relevant !== false).length;
  const all = cards.length ? counted(cards.length, more) : "";
  return ranked && answers && answers < cards.length ? `${answers.toLocaleString("en")} of ${all} answer` : all;
}

function drawn(photo) {
  const item = $("photo").content.firstElementChild.cloneNode(true);
  const ratio = Math.min(2.6, Math.max(0.5, photo.width / photo.height || 1));
  item.style.setProperty("--ratio", ratio.toFixed(4));
  item.dataset.path = photo.path;
  if (photo.path_b64) item.dataset.pathB64 = photo.path_b64;
  const link = item.querySelector(".picture");
  link.href = photo.href ?? "#";
  drawThumbnail(link, photo);
  item.querySelector(".like")?.setAttribute("aria-label", `More like ${shown(photo.name)}`);
  item.querySelector(".name").textContent = item.querySelector(".name").title = shown(photo.name);
  item.querySelector(".similarity").textContent = number(photo.similarity);
  const facts = [day(photo), pixels(photo), shown(photo.camera)].filter(Boolean).join(" · ");
  item.querySelector(".facts").textContent = item.querySelector(".facts").title = facts;
  item.querySelector(".tags").append(...photo.tags.map(tagged));
  return item;
}

function drawThumbnail(link, photo) {
  const picture = link.firstElementChild;
  const absent = () => link.replaceChildren(made("span", photo.name.split(".").pop().slice(0, 8), "quiet"));
  link.setAttribute("aria-label", shown(photo.name));
  if (!photo.thumb) return absent();
  picture.addEventListener("error", absent, { once: true });
  picture.src = photo.thumb;
}

function tagged(label) {
  const item = document.createElement("li");
  const chip = made(about.live ? "button" : "span", label, about.live ? "" : "tag");
  if (about.live) {
    chip.type = "button";
    chip.dataset.tag = label;
    chip.setAttribute("aria-pressed", $("query").elements.tag.value === label);
  }
  item.append(chip);
  return item;
}

// -- going from photo to photo ------------------------------------------------------------------------------

const focused = () => document.activeElement?.closest?.(".photos > li");

function look(index) {
  const to = cards[Math.min(Math.max(index, 0), cards.length - 1)];
  if (!to) return;
  to.element.querySelector(".picture").focus({ preventScroll: true });
  to.element.scrollIntoView({ block: "nearest" });
}

// Nothing is looked at yet: begin with what can be seen.
function step(index) {
  if (focused()) return look(index());
  const seen = cards.findIndex(({ element }) => element.getBoundingClientRect().bottom > 120);
  look(at < 0 ? seen : at);
}

function inRow(direction) {
  const middle = (box) => (box.left + box.right) / 2;
  const from = cards[at].element.getBoundingClientRect();
  let [best, row, least] = [at, null, Infinity];
  for (let index = at + direction; cards[index]; index += direction) {
    const box = cards[index].element.getBoundingClientRect();
    if (Math.abs(box.top - from.top) < 4) continue;
    row ??= box.top;
    if (Math.abs(box.top - row) >= 4) break;
    const far = Math.abs(middle(box) - middle(from));
    if (far < least) [best, least] = [index, far];
  }
  return best;
}

// -- the large view -----------------------------------------------------------------------------------------

function open(index) {
  at = large.at = index;
  const { photo } = cards[index];
  $("place").textContent = `${index + 1} of ${counted(cards.length, browse?.more)}`;
  $("large-name").textContent = shown(photo.name);
  $("path").textContent = shown(photo.path);
  $("original").hidden = !photo.href || !reachable;
  $("original").href = photo.href ?? "#";
  $("facts").replaceChildren(...facts(photo));
  $("large-tags").replaceChildren(...photo.tags.map(tagged));
  $("before").disabled = index === 0;
  $("after").disabled = index === cards.length - 1 && !browse?.more;
  enlarge(photo);
  if (!large.open) large.showModal();
}

function facts(photo) {
  const { margin } = photo;
  const beyond = margin == null ? "" : `${number(Math.abs(margin))} ${margin < 0 ? "below" : "above"} the line`;
  const rows = {
    Similarity: number(photo.similarity),
    Relevance: beyond,
    Taken: (photo.taken_at ?? "").replace("T", " "),
    Pixels: pixels(photo),
    Camera: photo.camera,
  };
  return Object.entries(rows).flatMap(([name, value]) => (value ? [made("dt", name), made("dd", value)] : []));
}

// The thumbnail at the size of the photo, until the photo itself is there; for good, where the browser cannot show it.
async function enlarge(photo) {
  const picture = $("picture");
  picture.style.setProperty("--width", `${photo.width}px`);
  picture.style.setProperty("--height", `${photo.height}px`);
  picture.alt = shown(photo.name);
  picture.removeAttribute("src");
  if (photo.thumb) picture.src = photo.thumb;
  enlargeable(Boolean(photo.thumb));
  large.whole?.removeAttribute("src"); // who turns the pages fast waits for the last one only
  if (!photo.href || !reachable) return;
  const whole = (large.whole = new Image());
  whole.src = photo.href;
  const there = await whole.decode().then(() => true, () => false);
  if (large.whole !== whole) return;
  if (there) {
    picture.src = whole.src;
    enlargeable(true);
  } else if (photo.thumb) {
    $("place").textContent += " · preview";
  }
}

function enlargeable(there) {
  $("picture").hidden = !there;
  $("absent").hidden = there;
}

async function turn(direction) {
  if (!cards[at + direction] && direction > 0 && browse?.more) await browse.next();
  if (cards[at + direction] && large.open) open(at + direction);
}

async function copy() {
  if (!cards[at]) return;
  try {
    await navigator.clipboard.writeText(pasteable(cards[at].photo));
    say("Path copied");
  } catch {
    if (large.open) getSelection().selectAllChildren($("path"));
    say("The browser does not let this page copy");
  }
}

// -- what a hand does ---------------------------------------------------------------------------------------

const AMONG = {
  ArrowRight: () => step(() => at + 1),
  ArrowLeft: () => step(() => at - 1),
  ArrowDown: () => step(() => inRow(1)),
  ArrowUp: () => step(() => inRow(-1)),
  j: () => step(() => at + 1),
  k: () => step(() => at - 1),
  Home: () => look(0),
  End: () => look(cards.length - 1),
  c: copy,
  m: () => focused() && browse?.like(cards[at].photo.id),
  "/": () => browse?.focus(),
  "?": () => help.showModal(),
};
const ENLARGED = {
  ArrowRight: () => turn(1),
  ArrowLeft: () => turn(-1),
  j: () => turn(1),
  k: () => turn(-1),
  Home: () => open(0),
  End: () => open(cards.length - 1),
  c: copy,
  m: () => browse?.like(cards[at].photo.id),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input, select")) {
    if (event.target.name !== "text" || event.key !== "ArrowDown") return;
  }
  const act = (large.open ? ENLARGED : help.open ? {} : AMONG)[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

$("answer").addEventListener("focusin", () => {
  const item = focused();
  if (item) at = Number(item.dataset.index);
});

$("answer").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // as any link
  const item = event.target.closest("li[data-index]");
  if (event.target.closest(".picture")) {
    event.preventDefault();
    open(Number(item.dataset.index));
  } else if (event.target.closest(".like")) {
    browse.like(cards[item.dataset.index].photo.id);
  }
});

large.addEventListener("close", () => look(large.at)); // the browser went back to where it was opened
large.querySelector(".stage").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) large.close();
});
$("close").addEventListener("click", () => large.close());
$("picture").addEventListener("error", () => enlargeable(false));
$("before").addEventListener("click", () => turn(-1));
$("after").addEventListener("click", () => turn(1));
$("copy").addEventListener("click", copy);
$("help").addEventListener("click", () => help.showModal());

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address holds the query
  $("photos").focus();
});

let touched = null;
large.addEventListener("touchstart", ({ touches }) => {
  touched = touches.length === 1 && (visualViewport?.scale ?? 1) === 1 ? touches[0] : null;
}, { passive: true });
large.addEventListener("touchend", ({ changedTouches: [end] }) => {
  const across = touched ? end.clientX - touched.clientX : 0;
  if (Math.abs(across) > 60 && Math.abs(end.clientY - touched.clientY) < 60) turn(across < 0 ? 1 : -1);
}, { passive: true });

// -- the contact sheet --------------------------------------------------------------------------------------

const idle = () => new Promise((go) => (window.requestIdleCallback ?? setTimeout)(go, { timeout: 100 }));

async function unfold() {
  $("title").textContent = document.title = shown(about.title);
  $("count").textContent = about.count ? counted(about.count) : "";
  tell(about.note ?? (about.count ? null : "No photo matches."));
  ranked = about.ranked;
  start();
  let since = -Infinity; // the first photos are shown at once, the others as there is time
  for (const batch of document.querySelectorAll("script.batch")) {
    add(JSON.parse(batch.textContent));
    batch.remove();
    if (performance.now() - since < 40) continue;
    await idle();
    since = performance.now();
  }
  $("count").textContent = tally();
}

function tell(text, hint) {
  $("note").hidden = !text;
  $("note").replaceChildren(shown(text));
  if (hint) $("note").append(made("span", hint, "hint"));
}

// -- photoclip browse ---------------------------------------------------------------------------------------

const PAUSE = 300; // ms
const BATCH = 60;
const roomy = () => matchMedia("(min-width: 52rem)").matches; // enough for the filters beside the photos

class Browse {
  form = $("query");
  photo = ""; // the id of the photo to search like
  more = false; // there are photos after these
  typed = false; // this entry of the history is still being typed
  request = new AbortController();

  begin() {
    const { form } = this;
    form.addEventListener("submit", (event) => { event.preventDefault(); this.ask(); });
    form.elements.text.addEventListener("input", (event) => !event.isComposing && this.pause());
    form.elements.text.addEventListener("compositionend", () => this.pause());
    $("filters").addEventListener("change", () => this.ask());
    $("clear").addEventListener("click", () => { this.clear(); this.ask(); });
    $("unlike").addEventListener("click", () => { this.photo = ""; this.ask(); this.focus(); });
    $("filtering").addEventListener("click", () => this.unfold($("filters").hidden));
    $("large-like").addEventListener("click", () => this.like(cards[at].photo.id));
    $("more").addEventListener("click", () => this.next());
    document.addEventListener("click", ({ target }) => target.dataset?.tag != null && this.tag(target.dataset.tag));
    new IntersectionObserver(([seen]) => seen.isIntersecting && this.next(), { rootMargin: "600px" }).observe($("more"));
    addEventListener("popstate", () => this.restore());
    addEventListener("scroll", () => $("top").classList.toggle("scrolled", scrollY > 0), { passive: true });
    this.restore();
    if (matchMedia("(hover: hover)").matches) this.focus();
    get("api/tags").then(({ tags }) => $("tags").append(...tags.map(([label]) => new Option(label, label))), () => {});
  }

  // -- the query: the form while it is made, the address once it is asked

  wanted() {
    const filled = [...new FormData(this.form)].map(([name, value]) => [name, value.trim()]);
    return new URLSearchParams([...filled, ["like", this.photo]].filter(([, value]) => value));
  }

  restore() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    this.form.reset();
    for (const [name, value] of wanted) {
      const field = this.form.elements[name];
      if (field?.type === "checkbox") field.checked = value === "1";
      else if (field) field.value = value;
    }
    this.photo = wanted.get("like") ?? "";
    this.typed = false;
    this.unfold(this.filters() > 0 && roomy());
    this.search();
  }

  pause() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.ask(true), PAUSE);
  }

  ask(typing = false) {
    clearTimeout(this.waiting);
    const wanted = this.wanted().toString();
    if (wanted !== location.hash.slice(1)) {
      const keep = typing && this.typed ? "replaceState" : "pushState";
      history[keep](null, "", wanted ? `#${wanted}` : location.pathname);
    }
    this.typed = typing;
    this.search();
  }

  like(id) {
    if (large.open) large.close();
    this.photo = id;
    this.form.elements.text.value = "";
    this.ask();
  }

  tag(label) {
    if (large.open) large.close();
    const field = this.form.elements.tag;
    field.value = field.value === label ? "" : label;
    if (roomy()) this.unfold(true);
    this.ask();
  }

  clear() {
    for (const field of $("filters").elements) {
      if (field.type === "checkbox") field.checked = false;
      else field.value = "";
    }
  }

  filters() {
    return [...this.wanted().keys()].filter((name) => !["text", "like"].includes(name)).length;
  }

  unfold(open) {
    $("filters").hidden = !open;
    $("filtering").setAttribute("aria-expanded", open);
  }

  focus() {
    this.form.elements.text.focus();
    this.form.elements.text.select();
  }

  // -- the answer

  async search() {
    const wanted = this.wanted();
    $("like").hidden = !this.photo;
    if (this.photo) $("like").querySelector("img").src = `thumb/${encodeURIComponent(this.photo)}`;
    $("filtered").textContent = this.filters() || "";
    document.title = shown(wanted.get("text") ?? "photoclip");
    await this.load(wanted, 0, (answer) => {
      ranked = (wanted.has("text") || wanted.has("like")) && !wanted.get("sort");
      tell(answer.note ?? (answer.photos.length ? null : "No photo matches."));
      start();
      scrollTo(0, 0);
    });
  }

  async next() {
    if (this.more && !this.loading) await this.load(this.wanted(), cards.length, () => {});
  }

  // Only the newest request may change the page: whoever comes later ends the one before.
  async load(wanted, offset, begin) {
    this.request.abort();
    const { signal } = (this.request = new AbortController());
    this.loading = true;
    $("answer").setAttribute("aria-busy", "true");
    try {
      wanted.set("limit", BATCH);
      wanted.set("offset", offset);
      const answer = await get(`api/search?${wanted}`, signal);
      const among = focused();
      begin(answer);
      add(answer.photos);
      this.more = answer.more && answer.photos.length > 0;
      $("count").textContent = tally(this.more);
      if (among && !offset) look(0); // what was looked at is gone
    } catch (error) {
      if (signal.aborted) return;
      this.more = false;
      if (!offset) start();
      tell(error.message, error.hint);
      $("count").textContent = "";
    }
    this.loading = false;
    $("more").hidden = !this.more;
    $("answer").removeAttribute("aria-busy");
  }
}

async function get(address, signal) {
  const reply = await fetch(address, { signal }).catch((error) => {
    throw signal?.aborted ? error : new Error("photoclip browse does not answer. Is it still running?");
  });
  const answer = await reply.json().catch(() => ({}));
  if (reply.ok) return answer;
  throw Object.assign(new Error(answer.error ?? `photoclip browse answered ${reply.status}`), { hint: answer.hint });
}

const browse = about.live ? new Browse() : null;
if (browse) browse.begin();
else unfold();
