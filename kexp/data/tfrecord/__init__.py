"""`data=tfrecord`: records read by position, without TensorFlow.

In: files of `tf.train.Example` messages. Out: `Data`.
"""
