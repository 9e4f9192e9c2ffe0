// One line of dots: who lives, who does not.

export function showServices(services) {
  const list = document.getElementById("services");
  const items = services.length ? services.map(item) : [nobody()];
  list.replaceChildren(...items);
}

function item({ service, instance, state }) {
  const line = document.createElement("li");
  line.dataset.state = state;
  line.dataset.service = service;
  line.title = instance;
  const name = /-\d+$/.test(instance) && instance.startsWith(service) ? instance : service;
  line.textContent = state === "ready" ? name : `${name}: ${state}`;
  return line;
}

function nobody() {
  const line = document.createElement("li");
  line.dataset.state = "silent";
  line.textContent = "no heartbeat yet";
  return line;
}
