/*
 * Writes the java-*.batch files of this folder: what Kafka's own client puts into a Produce request.
 * tests/golden.rs has the same records. kafka-clients 4.3.0 with lz4-java, snappy-java, zstd-jni and
 * slf4j-api beside it: `java -cp 'jars/*' Batches.java`, run in this folder.
 */
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;

public class Batches {
    static final long BASE_MS = 1_760_000_000_000L;

    public static void main(String[] arguments) throws Exception {
        SimpleRecord[] records = {
            record(0, "gw-1/room/temperature", bytes("{\"value\":21.5,\"unit\":\"C\"}"),
                new RecordHeader("hw-device", bytes("gw-1"))),
            record(5, null, bytes("no key")),
            record(3, "tombstone", null, new RecordHeader("null", (byte[]) null),
                new RecordHeader("empty", bytes("")), new RecordHeader("null", bytes("again"))),
            record(3, "", bytes("")),
            record(1000, "gw-1/\u00fcml\u00e4ut", bytes("abcdefgh".repeat(100)),
                new RecordHeader("\u00fc", new byte[] {0, (byte) 0xff})),
        };
        for (CompressionType type : CompressionType.values()) {
            ByteBuffer batch = MemoryRecords.withRecords(Compression.of(type).build(), records).buffer();
            byte[] content = new byte[batch.remaining()];
            batch.get(content);
            Files.write(Path.of("java-" + type.name + ".batch"), content);
        }
    }

    static SimpleRecord record(long ms, String key, byte[] value, Header... headers) {
        return new SimpleRecord(BASE_MS + ms, key == null ? null : bytes(key), value, headers);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
