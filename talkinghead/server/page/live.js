// A live anchor over WebRTC, and what it is told over a WebSocket.
import { $, ask, attempt, element, notice } from "./api.js";
import { startBackground } from "./background.js";
import { startRecorded } from "./recorded.js";
import { say } from "./strings.js";

const GIVE_UP_MS = 10000;
const MICROPHONE_RATE = 24000;

export function startLive() {
  const recorded = startRecorded();
  const background = startBackground("live");
  let session = null, peer = null, socket = null, microphone = null;
  let ending = Promise.resolve(); // of the session before: there may be room for one only

  const log = (text) => {
    $("live-log").append(element("li", { textContent: text }));
    $("live-log").lastChild.scrollIntoView({ block: "nearest" });
  };

  function enable(isOn) {
    for (const id of ["live-say", "live-interrupt", "live-microphone", "live-file"]) $(id).disabled = !isOn;
    $("live-connect").textContent = say(isOn ? "disconnect" : "connect");
    $("live-connect").dataset.text = isOn ? "disconnect" : "connect";
  }

  function hear({ data }) {
    const event = JSON.parse(data);
    if (event.type === "speaking") $("live-state").textContent = say("speaking");
    if (event.type === "silence") $("live-state").textContent = say("idle");
    if (event.type === "error") notice(event.message);
    if (event.type === "interrupted" && event.utterance) log(`${say("spoken")} ${event.position_s.toFixed(2)} ${say("seconds")}`);
    document.body.dataset.live = event.type === "position" ? "speaking" : event.type;
  }

  async function offer() {
    const { ice_servers: iceServers } = await ask("/api/ice-servers");
    peer = new RTCPeerConnection({ iceServers });
    const stream = new MediaStream();
    peer.addEventListener("track", ({ track }) => { stream.addTrack(track); $("live-video").srcObject = stream; });
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.addTransceiver("audio", { direction: "recvonly" });
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer);
  }

  async function connect() {
    const started = performance.now();
    $("live-state").textContent = say("connecting");
    await ending;
    // The session is opened while the offer is made; one that was opened in vain is ended by disconnect.
    const opening = ask("/api/sessions", { method: "POST", json: { anchor: $("live-anchor").value, ...background() } });
    const [opened, offered] = await Promise.allSettled([opening, offer()]);
    session = opened.value ?? null;
    for (const { reason } of [opened, offered]) if (reason) throw reason;
    const answer = await ask(`/api/sessions/${session.session}/offer`, { method: "POST", json: { sdp: peer.localDescription.sdp } });
    await peer.setRemoteDescription(answer);
    peer.addEventListener("connectionstatechange", () => ["failed", "closed"].includes(peer?.connectionState) && disconnect(say("over")));
    socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/sessions/${session.session}/socket`);
    socket.addEventListener("message", hear);
    socket.addEventListener("close", () => session && disconnect(say("over")));
    const current = session;
    setTimeout(() => session === current && peer.connectionState !== "connected" && disconnect(say("noConnection")), GIVE_UP_MS);
    $("live-video").requestVideoFrameCallback?.(() => {
      $("live-state").textContent = say("idle");
      log(`${say("firstPicture")} ${((performance.now() - started) / 1000).toFixed(2)} ${say("seconds")}`);
    });
    enable(true);
    recorded.follow(session);
  }

  function disconnect(reason = "") {
    const ended = session;
    session = null;
    stopMicrophone();
    peer?.close();
    socket?.close();
    peer = socket = null;
    if (ended) ending = recorded.follow(null).catch(() => {}).then(() => ask(`/api/sessions/${ended.session}`, { method: "DELETE" })).catch(() => {});
    enable(false);
    $("live-state").textContent = "";
    if (reason) notice(reason);
  }

  $("live-connect").addEventListener("click", (event) => attempt(async () => {
    if (session) return disconnect();
    try {
      return await connect();
    } catch (error) {
      disconnect();
      throw error;
    }
  }, event.target));

  $("live-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("live-text").value;
    if (!session || !text.trim()) return;
    attempt(async () => {
      await ask(`/api/sessions/${session.session}/say`, { method: "POST", json: { text, voice: $("live-voice").value } });
      log(text);
      $("live-text").value = "";
    });
  });

  $("live-interrupt").addEventListener("click", () => {
    stopMicrophone();
    socket?.send(JSON.stringify({ type: "interrupt" }));
  });

  $("live-file").addEventListener("change", () => attempt(async () => {
    const file = $("live-file").files[0];
    $("live-file").value = "";
    if (file && session) {
      await ask(`/api/sessions/${session.session}/audio`, { method: "POST", body: file });
      log(file.name);
    }
  }));

  async function startMicrophone() {
    const source = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true } });
    const context = new AudioContext({ sampleRate: MICROPHONE_RATE });
    await context.audioWorklet.addModule("/static/microphone.js");
    const node = new AudioWorkletNode(context, "pcm");
    socket.send(JSON.stringify({ type: "audio", rate: MICROPHONE_RATE }));
    node.port.onmessage = ({ data }) => socket?.readyState === 1 && socket.send(data);
    context.createMediaStreamSource(source).connect(node);
    microphone = { source, context };
    $("live-microphone").setAttribute("aria-pressed", "true");
  }

  function stopMicrophone() {
    if (!microphone) return;
    microphone.source.getTracks().forEach((track) => track.stop());
    microphone.context.close();
    microphone = null;
    $("live-microphone").setAttribute("aria-pressed", "false");
    if (socket?.readyState === 1) socket.send(JSON.stringify({ type: "end" }));
  }

  $("live-microphone").addEventListener("click", (event) =>
    attempt(async () => (microphone ? stopMicrophone() : startMicrophone()), event.target));
  addEventListener("pagehide", () => session && navigator.sendBeacon(`/api/sessions/${session.session}/close`));
  return { draw: recorded.draw };
}

// An offer with all of its candidates: the server answers once.
function gathered(peer) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
    setTimeout(resolve, 1000);
  });
}
