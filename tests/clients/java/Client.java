import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;

/** Java's HttpClient, which asks for an upgrade to HTTP/2 unless told otherwise, and its WebSocket. Argument: host:port. */
public class Client {
    static void check(boolean condition, String what) {
        if (!condition) {
            System.err.println(what);
            System.exit(1);
        }
    }

    public static void main(String[] arguments) throws Exception {
        String proxy = arguments[0];
        for (HttpClient.Version version : HttpClient.Version.values()) {
            HttpClient client = HttpClient.newBuilder().version(version).build();
            byte[] body = new byte[3_000_000];
            Arrays.fill(body, (byte) 'x');
            HttpRequest.Builder to = HttpRequest.newBuilder(URI.create("http://" + proxy + "/echo")).timeout(Duration.ofSeconds(30));
            var answer = client.send(to.copy().POST(BodyPublishers.ofByteArray(body)).build(), BodyHandlers.ofByteArray());
            check(answer.statusCode() == 200, version + ": status " + answer.statusCode());
            check(Arrays.equals(answer.body(), body), version + ": the body");
            var pending = new ArrayList<CompletableFuture<String>>();
            for (int i = 0; i < 50; i++) {
                var request = to.copy().PUT(BodyPublishers.ofString("number " + i)).build();
                pending.add(client.sendAsync(request, BodyHandlers.ofString()).thenApply(response -> response.body()));
            }
            for (int i = 0; i < 50; i++) {
                check(pending.get(i).get(30, TimeUnit.SECONDS).equals("number " + i), version + ": number " + i);
            }
        }
        var heard = new CompletableFuture<String>();
        WebSocket socket = HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(URI.create("ws://" + proxy + "/socket"), new WebSocket.Listener() {
            @Override
            public CompletionStage<?> onText(WebSocket socket, CharSequence text, boolean last) {
                heard.complete(text.toString());
                return null;
            }
        }).get(30, TimeUnit.SECONDS);
        socket.sendText("hello", true);
        check(heard.get(30, TimeUnit.SECONDS).equals("hello"), "WebSocket: the text");
        socket.sendClose(WebSocket.NORMAL_CLOSURE, "").get(30, TimeUnit.SECONDS);
        System.exit(0);
    }
}
