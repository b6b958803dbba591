import java.util.concurrent.CountDownLatch;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/**
 * SingleNode HOME HTTP_PORT TRANSPORT_PORT: one OpenSearch node in this JVM until SIGTERM.
 * The runner is a library for tests; used here because Maven has OpenSearch in no other form.
 */
public final class SingleNode {
    private SingleNode() {}

    public static void main(String[] args) throws InterruptedException {
        String home = args[0];
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", Integer.parseInt(args[1]));
            settings.put("transport.port", Integer.parseInt(args[2]));
            settings.put("discovery.type", "single-node");
            settings.put("action.auto_create_index", "-products-*,-*-products-*,-search-*,+*");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(runner)));
        runner.build(OpenSearchRunner.newConfigs()
                .basePath(home)
                .clusterName("readside-opensearch")
                .numOfNode(1));
        new CountDownLatch(1).await();
    }

    private static void close(OpenSearchRunner runner) {
        try {
            runner.close();
        } catch (Exception e) {
            System.err.println("close: " + e);
        }
    }
}
