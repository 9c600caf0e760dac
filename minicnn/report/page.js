"use strict";
document.documentElement.classList.add("js");
const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);

// Every text goes through here as text, never as HTML.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter(child => child !== null));
  return element;
}
const text = (tag, words, kind = "") => make(tag, kind ? {class: kind} : {}, words);
const picture = (uri, words) => make("img", {src: uri, alt: words, title: words,
                                             decoding: "async"});
// Texts in the page's language: the data has the translations; without one, the English text.
const gettext = (words, values = {}) => (data.words?.[words] ?? words)
  .replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field);
const decimal = number => number.replace(".", data.decimal ?? ".");
const sum = numbers => numbers.reduce((a, b) => a + b, 0);
const lines = words => make("ul", {class: "lines"}, ...words.map(line => text("li", line)));
const more = (title, words) => make("details", {}, text("summary", title), lines(words));
const COLOURS = {train: 0, test: 1, validation: 2};  // of the parts of a split
const colour = part => "c" + (COLOURS[part] ?? 3);

// Light and dark: as the machine has it, until the button is used
const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
const nameTheme = () => { byId("theme").textContent = isDark() ? `☀ ${gettext("Light")}` : `☾ ${gettext("Dark")}`; };
byId("theme").addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
});
dark.addEventListener("change", nameTheme);
nameTheme();
