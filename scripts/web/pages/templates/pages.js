(() => {
  const note = document.getElementById("note");
  const live = document.querySelector("[data-follow]");
  const parsed = text => new DOMParser().parseFromString(text, "text/html");
  const versionOf = part => part.querySelector("[data-version]")?.dataset.version ?? "";
  let version = live ? versionOf(live) : "", looking = null;

  const ask = async part => {
    const address = new URL(location.href);
    if (part) address.searchParams.set("part", "");
    const answer = await fetch(address, { cache: "no-cache" });
    if (answer.status === 404) location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    return parsed(await answer.text());
  };

  // What is replaced keeps the focus, and stays open where it was opened.
  const replace = (old, fresh) => {
    if (old.innerHTML === fresh.innerHTML) return false;
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    const toggled = new Map([...old.querySelectorAll("details")].map(each => [each.firstElementChild.textContent, each.open]));
    old.replaceChildren(...fresh.childNodes);
    for (const each of old.querySelectorAll("details")) each.open = toggled.get(each.firstElementChild.textContent) ?? each.open;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    return true;
  };

  const follow = async () => {
    const isPart = live.dataset.follow === "part";
    const page = await ask(isPart);
    replace(live, isPart ? page.body : page.getElementById(live.id));
    if (!isPart || versionOf(live) === version || !versionOf(live)) return;
    if (!version) return location.reload(); // there was no report, and none of what draws it
    const whole = await ask(false);
    version = versionOf(whole);
    if (replace(document.getElementById("report"), whole.getElementById("report"))) dispatchEvent(new Event("gradstudy:replaced"));
  };

  const look = () => looking ??= follow()
    .then(() => { note.textContent = ""; }, () => { note.textContent = "The server does not answer; what is shown is what it said last."; })
    .finally(() => { looking = null; });

  if (live) {
    setInterval(() => { if (!document.hidden && !document.getSelection()?.toString()) look(); }, 1000 * live.dataset.seconds);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  }

  const put = (values, path, value) => {
    const [first, ...rest] = path.split(".");
    if (rest.length) put(values[first] ??= {}, rest.join("."), value);
    else values[first] = value;
  };

  // The fields that are filled in; several of one name are a list.
  const valuesOf = form => {
    const values = {}, fields = [...form.elements].filter(field => field.name);
    for (const name of new Set(fields.map(field => field.name))) {
      const same = fields.filter(field => field.name === name);
      const given = same.filter(field => field.type === "checkbox" ? field.checked : field.value.trim());
      const isChoice = same[0].type === "checkbox";
      if (isChoice && given.length === same.length) continue; // the task may know better which there are
      const read = given.map(field => "number" in field.dataset ? Number(field.value) : field.value);
      if (read.length || isChoice) put(values, name, same.length > 1 ? read : read[0]);
    }
    return values;
  };

  const send = async (element, body, said) => {
    const button = element.matches("button") ? element : element.querySelector("button");
    const say = (text, isWrong) => { said.textContent = text; said.classList.toggle("wrong", isWrong); };
    button.disabled = true;
    try {
      const answer = await fetch(element.dataset.post, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
      const given = await answer.json().catch(() => ({}));
      if (!answer.ok) return say(given.error ?? given.reason ?? answer.statusText, true);
      if (element.dataset.goesTo) return location.assign(element.dataset.goesTo + encodeURIComponent(given.study?.name ?? given.name));
      say(element.dataset.done, false);
      if (live) look();
    } catch {
      say("The server does not answer; nothing is known of what was asked.", true);
    } finally {
      button.disabled = false;
    }
  };

  document.addEventListener("submit", event => {
    const form = event.target;
    if (!form.dataset.post) return;
    event.preventDefault();
    const values = valuesOf(form);
    const isSpec = form.dataset.goesTo && !("toml" in values);
    send(form, isSpec ? { spec: values } : values, form.querySelector(".said"));
  });
  document.addEventListener("click", event => {
    const button = event.target.closest("button[data-post]");
    if (button && confirm(button.dataset.ask)) send(button, {}, document.getElementById("said"));
  });
})();
