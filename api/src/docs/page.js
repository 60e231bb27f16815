// Shows /v1/openapi.json as a page. All that is shown goes into text nodes.

const node = (name, text, ...children) => {
  const made = document.createElement(name);
  if (text) made.append(text);
  made.append(...children);
  return made;
};

// A schema as the JSON that it describes: names with the words for their kinds.
const outline = (api, schema, depth) => {
  if (!schema) return "any";
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return depth > 4 ? name : outline(api, api.components.schemas[name], depth + 1);
  }
  if (schema.allOf) {
    return Object.assign({}, ...schema.allOf.map((part) => outline(api, part, depth)));
  }
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) {
    const some = choices.filter((choice) => choice.type !== "null");
    return outline(api, some[0], depth);
  }
  if (schema.type === "array") return [outline(api, schema.items, depth)];
  if (schema.properties) {
    const shown = ([name, part]) => [name, outline(api, part, depth)];
    return Object.fromEntries(Object.entries(schema.properties).map(shown));
  }
  const kind = [schema.type ?? "any"].flat().join(" or ");
  return schema.description ? `${kind}: ${schema.description}` : kind;
};

const row = (cells) => node("tr", "", ...cells.map((cell) => node("td", cell)));

const body = (api, content) =>
  Object.entries(content ?? {}).map(([kind, part]) =>
    node("pre", `${kind}\n${JSON.stringify(outline(api, part.schema, 0), null, 2)}`));

const operation = (api, path, method, about) => {
  const shown = node("details", "", node("summary", "", node("b", method.toUpperCase()), path));
  shown.append(node("p", about.summary), node("p", about.description));
  const given = (about.parameters ?? []).map((one) =>
    row([one.name, one.in, one.required ? "required" : "", one.description ?? ""]));
  if (given.length) shown.append(node("table", "", ...given));
  if (about.requestBody) shown.append(node("h4", "Body"), ...body(api, about.requestBody.content));
  for (const [status, answer] of Object.entries(about.responses)) {
    const isProblem = Number(status) >= 400;
    shown.append(node("p", `${status} ${answer.description}`));
    if (!isProblem) shown.append(...body(api, answer.content));
  }
  return shown;
};

const show = (api) => {
  document.getElementById("about").replaceChildren(`${api.info.version}. ${api.info.description}`);
  const paths = Object.entries(api.paths);
  for (const { name } of api.tags) {
    const link = node("a", name);
    link.href = `#${name}`;
    document.getElementById("tags").append(link);
    const section = node("section", "", node("h2", name));
    section.id = name;
    for (const [path, methods] of paths) {
      for (const [method, about] of Object.entries(methods)) {
        if (about.tags?.includes(name)) section.append(operation(api, path, method, about));
      }
    }
    document.getElementById("paths").append(section);
  }
};

try {
  const answer = await fetch("/v1/openapi.json");
  show(await answer.json());
} catch (error) {
  document.getElementById("about").replaceChildren(`The description cannot be shown: ${error}`);
}
