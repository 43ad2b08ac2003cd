import java.io.FileOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** What member.py is, with Kafka's own client. Arguments: ADDRESS GROUP TOPIC FILE SESSION_MS HEARTBEAT_MS POLL_MS_MAX */
public final class Member {
    private static FileOutputStream file;

    /** In one write; the clock is the one of Python's time.monotonic_ns. */
    private static void note(String words) throws Exception {
        file.write((System.nanoTime() + " " + words + "\n").getBytes(StandardCharsets.UTF_8));
    }

    private static Properties settings(String[] words) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", words[0]);
        settings.put("group.id", words[1]);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
        settings.put("session.timeout.ms", words[4]);
        settings.put("heartbeat.interval.ms", words[5]);
        settings.put("max.poll.interval.ms", words[6]);
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        return settings;
    }

    private static final class Listener implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> old) {}

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
            StringBuilder words = new StringBuilder("A");
            assigned.forEach(place -> words.append(' ').append(place.partition()));
            try {
                note(words.toString());
            } catch (Exception exception) {
                throw new IllegalStateException(exception);
            }
        }
    }

    private static void step(KafkaConsumer<byte[], byte[]> client) throws Exception {
        var records = client.poll(Duration.ofMillis(200));
        Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
        for (TopicPartition place : records.partitions()) {
            StringBuilder words = new StringBuilder("R " + place.partition());
            records.records(place).forEach(record -> words.append(' ').append(record.offset()));
            note(words.toString());
            List<?> some = records.records(place);
            long last = records.records(place).get(some.size() - 1).offset();
            next.put(place, new OffsetAndMetadata(last + 1));
        }
        if (next.isEmpty()) {
            return;
        }
        client.commitSync(next);
        for (var entry : next.entrySet()) {
            note("C " + entry.getKey().partition() + " " + entry.getValue().offset());
        }
    }

    public static void main(String[] words) throws Exception {
        file = new FileOutputStream(words[3], true);
        try (KafkaConsumer<byte[], byte[]> client = new KafkaConsumer<>(settings(words))) {
            client.subscribe(List.of(words[2]), new Listener());
            while (true) {
                try {
                    step(client);
                } catch (KafkaException exception) {
                    note("X " + exception);
                }
            }
        }
    }
}
