// The ws worker listens on port 8010 (config.yaml); behind nginx it is at the page's own address.
const host = location.port ? `${location.hostname}:8010` : location.host;
const scheme = location.protocol === "https:" ? "wss:" : "ws:";
let socket;

function connect() {
  socket = new WebSocket(`${scheme}//${host}/ws/Counter/presses`);
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.event === "presses") document.getElementById("presses").textContent = message.data;
  };
  socket.onclose = () => setTimeout(connect, 500 + Math.random() * 1000);
}

document.getElementById("press").onclick = () => socket.send(JSON.stringify({ type: "press" }));
connect();
