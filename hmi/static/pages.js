// The pages in the order of the menu. `module` is loaded when the page is opened; it exports
// `open(root, context)`, which fills `root` and returns a function that ends what it began.
// `style`: its own CSS file, each rule below `.page-NAME`. `right`: the least role that sees it. context: {live, site, session, may(role), path: rest of the address, go(address)}.

export const PAGES = [
  {name: "overview", title: "Overview", module: "./pages/overview.js", style: "./pages/overview.css", right: "viewer"},
  {name: "points", title: "Points", module: "./pages/points.js", style: "./pages/points.css", right: "viewer"},
  {name: "alarms", title: "Alarms", module: "./pages/alarms.js", style: "./pages/alarms.css", right: "viewer"},
  {name: "events", title: "Events", module: "./pages/events.js", style: "./pages/events.css", right: "viewer"},
  {name: "control", title: "Control", module: "./pages/control.js", style: "./pages/control.css", right: "viewer"},
  {name: "trends", title: "Trends", module: "./pages/trends.js", style: "./pages/trends.css", right: "viewer"},
  {name: "communications", title: "Communications", module: "./pages/communications.js", style: "./pages/communications.css", right: "viewer"},
  {name: "commissioning", title: "Commissioning", module: "./pages/commissioning.js", style: "./pages/commissioning.css", right: "viewer"},
  {name: "commands", title: "Commands", module: "./pages/commands.js", style: "./pages/commands.css", right: "viewer"},
  {name: "engineering", title: "Engineering", module: "./pages/engineering.js", style: "./pages/engineering.css", right: "viewer"},
];
