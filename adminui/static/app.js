// Keeps a list of events current while the box is ticked and the page is seen.
// Without this script the page is the same, and is renewed by hand.
"use strict";
(() => {
	const every = 15000;
	const bar = document.getElementById("renew");
	if (!bar) return;
	const box = bar.querySelector("input"), told = bar.querySelector("[role=status]");
	const first = (doc) => doc.querySelector("tr[data-event]")?.dataset.event ?? "";
	bar.hidden = false;

	async function renew() {
		if (!box.checked || document.hidden) return;
		const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error", cache: "no-store" });
		if (!answer.ok) throw new Error(answer.status);
		const next = new DOMParser().parseFromString(await answer.text(), "text/html");
		const list = next.getElementById("events"), old = document.getElementById("events");
		if (!list || !old || first(next) === first(document) || old.contains(document.activeElement)) return;
		old.replaceWith(document.importNode(list, true));
		told.textContent = "There is something new.";
	}

	setInterval(() => renew().catch(() => {
		box.checked = false;
		told.textContent = "The list could not be renewed. Please load the page again.";
	}), every);
	box.addEventListener("change", () => { told.textContent = ""; renew().catch(() => {}); });
})();
