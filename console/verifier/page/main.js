/** The page: three files in, one verdict a line out. Everything heavy happens in the worker. */
import { TEXTS } from "./texts.js";

const KINDS = ["receipt", "trust", "file", "statement", "sheet"];
const by = (id) => document.getElementById(id);
const chosen = { receipt: null, trust: null, file: null, statement: null, sheet: null };
let language = "zh";
let report = null;
let worker = null;

const t = () => TEXTS[language];

function element(tag, { text, className, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function choose(kind, file) {
  chosen[kind] = file;
  if (!file) by(kind).value = "";
  showChosen();
}

function showChosen() {
  for (const kind of KINDS) {
    const file = chosen[kind];
    by(`${kind}-name`).textContent = file ? `${file.name} (${file.size.toLocaleString("en")} B)` : t().none;
  }
}

function kindOf({ name }) {
  if (/\.cltrust$/i.test(name)) return "trust";
  if (/\.clp$/i.test(name)) return "statement";
  if (/\.clc$/i.test(name)) return "sheet";
  return /\.clr$/i.test(name) ? "receipt" : "file";
}

function say(message) {
  by("status").textContent = message;
}

function clear() {
  stop();
  KINDS.forEach((kind) => choose(kind, null));
  by("at").value = by("case").value = "";
  report = null;
  by("report").replaceChildren();
  say("");
  by("receipt").focus();
}

function stop() {
  worker?.terminate();
  worker = null;
  by("verify").disabled = false;
  by("progress").hidden = true;
}

function start(event) {
  event.preventDefault();
  const caseId = by("case").value.trim();
  if (!chosen.receipt || !chosen.trust) {
    say(t().needBoth);
    by(chosen.receipt ? "trust" : "receipt").focus();
    return;
  }
  if (caseId && !/^[0-9a-fA-F]{64}$/.test(caseId)) {
    say(t().badCase);
    by("case").focus();
    return;
  }
  const wanted = by("at").value ? Date.parse(by("at").value) : Date.now();
  by("report").replaceChildren();
  by("verify").disabled = true;
  const total = chosen.file?.size ?? 0;
  by("progress").hidden = !total;
  by("progress").value = 0;
  say(t().verifying);
  const source = new Blob([by("worker").textContent], { type: "text/javascript" });
  const address = URL.createObjectURL(source);
  worker = new Worker(address);
  let announced = 0;
  worker.onmessage = ({ data }) => {
    if (data.done !== undefined) {
      const percent = Math.floor((100 * data.done) / total);
      by("progress").value = percent;
      if (percent >= announced + 10) {
        announced = percent;
        say(`${t().working} ${percent}%`);
      }
      return;
    }
    URL.revokeObjectURL(address);
    stop();
    if (data.error) {
      say(t().failed + data.error);
    } else {
      report = data.report;
      say(`${t().result}: ${t().results[report.result]}`);
      showReport();
      by("result").focus();
    }
  };
  worker.onerror = (failure) => {
    stop();
    say(t().failed + (failure.message ?? ""));
  };
  worker.postMessage({ ...chosen, at: Math.floor(wanted / 1000), caseId: caseId.toLowerCase() });
}

const beijing = (seconds) => {
  const zone = { timeZone: "Asia/Shanghai", hour12: false };
  return `${new Date(1000 * Number(seconds)).toLocaleString(language === "zh" ? "zh-CN" : "en-GB", zone)} (UTC+8)`;
};

function factList() {
  const { facts } = report;
  const list = element("dl");
  const add = (label, value) => {
    if (value !== undefined && value !== null) list.append(element("dt", { text: label }), element("dd", { text: value }));
  };
  add(t().facts.consortium, language === "zh" ? facts.consortiumZh : facts.consortiumEn);
  for (const name of ["evidenceId", "receiptId", "log", "index", "submitter", "blockHeight"]) {
    add(t().facts[name], facts[name] === undefined ? undefined : String(facts[name]));
  }
  add(t().facts.timeBy, t().timeBy[facts.timeBy]);
  if (facts.hashRenewedAt !== undefined) add(t().facts.hashRenewedAt, beijing(facts.hashRenewedAt));
  for (const name of ["anchoredAt", "notLaterThan"]) {
    add(t().facts[name], facts[name] === undefined ? undefined : beijing(facts[name]));
  }
  add(t().facts.evaluatedAt, beijing(report.evaluatedAt));
  if (facts.anchorLag !== undefined) add(t().facts.anchorLag, duration(facts.anchorLag));
  return list;
}

/** Days and hours, or minutes, between the event and its anchor. */
function duration(seconds) {
  const ahead = seconds < 0 ? "−" : "";
  const minutes = Math.floor(Math.abs(seconds) / 60);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  const { day, hour, minute } = t().units;
  return ahead + (days || hours ? `${days} ${day} ${hours} ${hour}` : `${minutes} ${minute}`);
}

/** What a custody sheet says, as far as it held. */
function custodyList() {
  const { facts } = report;
  if (facts.custodyEvents === undefined) return [];
  const list = element("dl", { id: "custody" });
  for (const [name, label] of Object.entries(t().custody)) {
    const value = facts[name];
    if (value === undefined || value === null) continue;
    const shown = name === "custodyStatedAt" || name === "custodyLastTime" ? beijing(value) : name === "custodyLastClass" ? t().custodyClasses[value] : String(value);
    list.append(element("dt", { text: label }), element("dd", { text: shown }));
  }
  return [element("h3", { text: t().custodyTitle }), element("p", { text: t().custodyNotice, className: "notice" }), list];
}

/** What a provenance statement says, in its own words. */
function statedList() {
  const { facts } = report;
  const list = element("dl", { id: "stated" });
  for (const [name, label] of Object.entries(t().stated)) {
    const value = facts[name];
    if (value === undefined || value === null) continue;
    const shown = name === "generatedAt" ? beijing(value) : name === "form" ? t().forms[value] : typeof value === "boolean" ? t().yesNo[Number(value)] : value;
    list.append(element("dt", { text: label }), element("dd", { text: shown }));
  }
  return list.children.length ? [element("h3", { text: t().statedTitle }), element("p", { text: t().statedNotice, className: "notice" }), list] : [];
}

function verdictLine({ name, status, code, detail, compared }) {
  const reason = code === "Ok" ? "" : t().codes[code] ?? "";
  const line = element("div", { className: "verdict" },
    element("b", { text: t().names[name] }),
    element("span", { text: t().statuses[status], className: status }),
    element("span", { text: reason }),
    element("code", { text: code === "Ok" ? "" : code }));
  const item = element("li", { "data-name": name, "data-status": status, "data-code": code }, line);
  if (compared.length || detail) {
    const more = element("details", {}, element("summary", { text: t().compared, "aria-label": `${t().names[name]}: ${t().compared}` }));
    if (detail) more.append(element("p", { text: detail }));
    const values = element("dl");
    for (const { what, value } of compared) {
      values.append(element("dt", { text: what }), element("dd", {}, element("code", { text: value })));
    }
    more.append(values);
    item.append(more);
  }
  return item;
}

function showReport() {
  const target = by("report");
  if (!report) return target.replaceChildren();
  const proved = report.result === "VALID" || report.result === "VALID_REDUCED_TRUST";
  const parts = [
    element("h2", { id: "result", tabindex: "-1" },
      `${t().result}: `, element("span", { text: `${report.result} ${t().results[report.result]}`, className: report.result })),
  ];
  if (report.changed) parts.push(element("p", { text: t().changed[report.changed], className: "FAIL" }));
  if (report.facts.trustFingerprint) {
    parts.push(element("h3", { text: t().fingerprint }), element("p", {}, element("code", { text: report.facts.trustFingerprint })));
  }
  parts.push(element("ul", { className: "verdicts" }, ...report.verdicts.map(verdictLine)));
  if (!proved) parts.push(element("p", { text: t().beforeProof, className: "notice" }));
  parts.push(factList());
  if (report.facts.anchorLagLong) parts.push(element("p", { text: t().lagLong, className: "notice", id: "lag" }));
  parts.push(...custodyList(), ...statedList(), element("h3", { text: t().unchecked }));
  const open = report.verdicts.filter(({ status }) => status === "NOT_CHECKED");
  const items = [...open.map(({ name }) => t().names[name]), ...t().uncheckedItems];
  if (report.uncheckedAttestations.length) items.push(t().attestations + report.uncheckedAttestations.join(", "));
  parts.push(element("ul", { id: "unchecked" }, ...items.map((text) => element("li", { text }))));
  parts.push(element("p", { text: t().disclaimer, className: "notice", id: "disclaimer" }));
  target.replaceChildren(...parts);
}

function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = t().title;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = t()[node.dataset.text];
  by("language").lang = language === "zh" ? "en" : "zh-CN";
  showChosen();
  showReport();
  say("");
}

function listen() {
  for (const kind of KINDS) by(kind).addEventListener("change", (event) => choose(kind, event.target.files[0] ?? null));
  by("form").addEventListener("submit", start);
  by("clear").addEventListener("click", clear);
  by("language").addEventListener("click", () => {
    language = language === "zh" ? "en" : "zh";
    translate();
  });
  const drop = by("drop");
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    for (const file of event.dataTransfer.files) choose(kindOf(file), file);
  });
}

listen();
translate();
